"""A tag names the state of a record: who changes it in another state is told, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Answer, Caller, Rest

LEADS = "/api/v1/leads/"
DEAL = {"name": "Deal", "amount": "10.00", "expected_close_date": "2026-12-31"}


async def _lead(caller: Caller, **fields: Any) -> tuple[str, Answer]:
    answer = await caller.post(LEADS, {**LEAD, **fields})
    return f"{LEADS}{answer.body['id']}/", answer


def _if(tag: str, header: str = "If-Match") -> dict[str, Any]:
    return {"headers": {header: tag}}


async def test_reading_and_writing_tell_the_same_tag(rest: Rest) -> None:
    admin = await rest.user()
    one, made = await _lead(admin, estimated_value=1200.5, tags=["a"])
    read = await admin.get(one)
    assert made.headers["ETag"] == read.headers["ETag"]
    changed = await admin.patch(one, {"phone": "1"})
    assert changed.headers["ETag"] != read.headers["ETag"]
    assert (await admin.get(one)).headers["ETag"] == changed.headers["ETag"]
    assert (await admin.patch(one, {})).headers["ETag"] == changed.headers["ETag"]
    again = await admin.post(LEADS, LEAD, key="k")
    assert (await admin.post(LEADS, LEAD, key="k")).headers["ETag"] == again.headers["ETag"]


async def test_what_one_has_is_not_sent_again(rest: Rest) -> None:
    admin = await rest.user(first_name="Ada", last_name="Ruud")
    one, made = await _lead(admin)
    tag = made.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await admin.get(one, **_if(known, "If-None-Match"))
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, None, tag)
    assert (await admin.get(one, **_if('"other"', "If-None-Match"))).status == 200
    # Names of others are part of what is shown, and no part of the record.
    await rest.pool.execute("UPDATE crm_users SET last_name = 'Byron' WHERE id = $1", admin.id)
    answer = await admin.get(one, **_if(tag, "If-None-Match"))
    assert (answer.status, answer.body["owner_detail"]["full_name"]) == (200, "Ada Byron")
    assert (await admin.patch(one, {"phone": "2"}, **_if(tag))).status == 200


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
async def test_a_change_in_another_state_is_refused(rest: Rest, method: str) -> None:
    admin = await rest.user()
    one, made = await _lead(admin)
    tag = made.headers["ETag"]
    newer = (await admin.patch(one, {"phone": "1"})).headers["ETag"]
    before = await rest.changes()
    body = None if method == "DELETE" else LEAD
    for stale in (tag, f"W/{newer}", f'{tag}, "x"', '""'):
        answer = await admin.call(method, one, body, **_if(stale))
        assert (answer.status, list(answer.body)) == (412, ["detail"])
    assert (await admin.call(method, one, body, **_if("nonsense"))).status == 400
    assert await rest.changes() == before
    assert (await admin.call(method, one, body, **_if(f"{tag}, {newer}"))).status in (200, 204)


async def test_any_state_will_do(rest: Rest) -> None:
    admin = await rest.user()
    one, _ = await _lead(admin)
    assert (await admin.patch(one, {"phone": "1"}, **_if("*"))).status == 200
    assert (await admin.delete(one, **_if("*"))).status == 204
    assert (await admin.delete(one, **_if("*"))).status == 404


async def test_other_refusals_come_first(rest: Rest) -> None:
    admin, rep, viewer = await rest.user(), await rest.user(Role.SALES_REP), await rest.user(Role.VIEWER)
    one, _ = await _lead(admin, assigned_to=admin.id)
    assert (await rep.patch(one, {"phone": "1"}, **_if('"x"'))).status == 404
    assert (await viewer.patch(one, {"phone": "1"}, **_if('"x"'))).status == 403


async def test_exactly_one_of_many_at_once_wins(rest: Rest) -> None:
    admin = await rest.user()
    one, made = await _lead(admin)
    tag = made.headers["ETag"]
    answers = await asyncio.gather(*(admin.patch(one, {"phone": str(n)}, **_if(tag)) for n in range(20)))
    won = [answer for answer in answers if answer.status == 200]
    assert sorted(answer.status for answer in answers) == [200, *[412] * 19]
    assert (await admin.get(one)).body == won[0].body


async def test_actions_want_a_state_too(rest: Rest) -> None:
    admin = await rest.user()
    task = await admin.post("/api/v1/tasks/", {"title": "Call", "assigned_to": admin.id})
    contact = await admin.post("/api/v1/contacts/", CONTACT)
    deal = await admin.post("/api/v1/opportunities/", {**DEAL, "contact": contact.body["id"]})
    lead, _ = await _lead(admin)
    calls = [
        (f"/api/v1/tasks/{task.body['id']}/complete/", None),
        (f"/api/v1/opportunities/{deal.body['id']}/update_stage/", {"stage": "proposal"}),
        (f"{lead}convert/", None),
    ]
    before = await rest.changes()
    for path, body in calls:
        assert (await admin.post(path, body, **_if('"x-y"'))).status == 412
    assert await rest.changes() == before
    done = await admin.post(calls[0][0], None, **_if(task.headers["ETag"]))
    assert done.headers["ETag"] == (await admin.get(f"/api/v1/tasks/{task.body['id']}/")).headers["ETag"]
