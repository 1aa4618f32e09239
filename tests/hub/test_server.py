"""The node as a whole: routes, refusals without a trace, and Postgres going away under it."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlsplit

import pytest
import structlog

from hub import routes
from hub.patience import within
from models.access import Role
from tests.hub.cable import cable
from tests.hub.rest import LEAD, Caller, Rest, serve, token


async def test_every_route_wants_a_token_unless_it_is_public(rest: Rest) -> None:
    for route in routes.ROUTES:
        path = re.sub(r"\{(\w+)(:[^}]*)?\}", "1", route.path)
        if route.who.signed_in:
            answer = await rest.nobody.call(route.method, path)
            assert (answer.status, answer.body) == (401, {"detail": "Authentication credentials were not provided."})
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            slashless = await rest.nobody.call(route.method, path.rstrip("/"))
            assert slashless.status == 401


async def test_wrong_tokens(rest: Rest) -> None:
    admin, gone = await rest.user(), await rest.user(Role.ADMIN, is_active=False)
    for bad in (
        token(admin.id, minutes=-1),
        token(10**6),
        gone.token,
        admin.token[:-2],
        "nonsense",
    ):
        answer = await Caller(rest.http, rest.url, 0, bad).get("/api/v1/leads/")
        assert (answer.status, answer.body["code"]) == (401, "token_not_valid")
    for header in ("Token abc", "Bearer", "Bearer ", "", f"bearer{admin.token}"):
        answer = await rest.nobody.get("/api/v1/leads/", headers={"Authorization": header})
        assert (answer.status, list(answer.body)) == (401, ["detail"]), header
    assert (await rest.nobody.get("/api/v1/", headers={"Authorization": f"bearer {admin.token}"})).status == 200


async def test_a_role_taken_away_counts_at_once(rest: Rest) -> None:
    caller = await rest.user(Role.MANAGER)
    assert (await caller.post("/api/v1/leads/", LEAD)).status == 201
    await rest.pool.execute("UPDATE crm_users SET role = 'viewer' WHERE id = $1", caller.id)
    assert (await caller.post("/api/v1/leads/", LEAD)).status == 403
    await rest.pool.execute("UPDATE crm_users SET is_active = false WHERE id = $1", caller.id)
    assert (await caller.get("/api/v1/leads/")).status == 401


async def test_what_is_not_there_is_json_too(rest: Rest) -> None:
    admin = await rest.user()
    for path in ("/nothing", "/api/v1/leads/x/", "/api/v1/leads/99999999999999999999/", "/api/v1/leads/1/2/"):
        answer = await admin.get(path)
        assert (answer.status, answer.body) == (404, {"detail": "Not found."}), path
    answer = await admin.delete("/api/v1/leads/")
    assert (answer.status, answer.body) == (405, {"detail": 'Method "DELETE" not allowed.'})
    assert "POST" in answer.headers["Allow"]


async def test_the_root_lists_the_lists(rest: Rest) -> None:
    admin = await rest.user()
    lists = (await admin.get("/api/v1/")).body
    assert {"leads", "contacts", "opportunities", "tasks", "audit-trail", "field-history", "timeline"} <= set(lists)
    for url in lists.values():
        assert (await admin.get(url.removeprefix(rest.url))).status == 200, url


async def test_a_failure_of_ours_says_nothing_of_itself(rest: Rest) -> None:
    admin = await rest.user()
    await rest.pool.execute("ALTER TABLE crm_leads RENAME COLUMN notes TO remarks")
    answer = await admin.post("/api/v1/leads/", LEAD)
    assert answer.status == 500
    assert answer.body == {"detail": "Something went wrong here; it has been logged."}
    assert answer.headers["Server"] == "switchboard"


async def test_the_log_has_each_answer_and_no_token(rest: Rest) -> None:
    admin = await rest.user()
    with structlog.testing.capture_logs() as lines:
        await admin.get("/api/v1/leads/", params={"token": admin.token})
        await admin.get("/api/v1/leads/")
    answered = [line for line in lines if line["event"] == "request_answered"]
    assert [(line["path"], line["status"], line["user"]) for line in answered] == [
        ("/api/v1/leads/", 400, admin.id),
        ("/api/v1/leads/", 200, admin.id),
    ]
    assert admin.token not in repr(lines)


async def test_postgres_away_is_503_and_passes(database: str) -> None:
    port = urlsplit(database).port
    assert port is not None
    async with cable(port) as line, serve(database.replace(f":{port}/", f":{line.port}/")) as rest:
        admin = await rest.user()
        assert (await admin.post("/api/v1/leads/", LEAD)).status == 201
        calls = [asyncio.ensure_future(admin.patch("/api/v1/leads/1/", {"lead_score": n})) for n in range(20)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await line.cut()
        answers = await asyncio.gather(*calls)
        assert {answer.status for answer in answers} <= {200, 503}
        for answer in (
            await admin.get("/api/v1/leads/1/"),
            await admin.get("/api/v1/audit-trail/"),
            await admin.post("/api/v1/leads/", LEAD, key="again"),
            await rest.nobody.post("/api/auth/login/", {"username": "a", "password": "b"}),
        ):
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2"), answer.body
        assert (await admin.get("/api/v1/content-types/")).status == 200
        await line.mend()
        assert (await admin.post("/api/v1/leads/", LEAD, key="again")).status == 201
        assert (await admin.get("/api/v1/leads/")).body["count"] == 2
        score = (await admin.get("/api/v1/leads/1/")).body["lead_score"]
        assert {a.body["lead_score"] for a in answers if a.status == 200} <= set(range(20))
        assert score in range(20)


async def test_work_that_is_late_is_given_up_without_waiting_for_it() -> None:
    begun, cancelled, release = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        begun.set()
        try:
            await release.wait()
        except asyncio.CancelledError:
            cancelled.set()
            await release.wait()
            raise

    with pytest.raises(TimeoutError):
        await within(0.01, stubborn())
    begun.clear()
    cancelled.clear()
    call = asyncio.ensure_future(within(60, stubborn()))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await cancelled.wait()
    release.set()
    assert await within(60, asyncio.sleep(0, "in time")) == "in time"
