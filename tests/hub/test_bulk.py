"""Many records at once: to each what a single change would do, and said of each."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from models.access import Role
from tests.hub.rest import CONTACT, Caller, Rest

LEADS, CONTACTS = "/api/v1/leads/", "/api/v1/contacts/"
DEAL = {"name": "Deal", "amount": "10.00", "expected_close_date": "2026-12-31"}


async def _leads(rest: Rest, count: int, **columns: Any) -> list[int]:
    names = ", ".join(["first_name", "last_name", "email", *columns])
    places = "".join(f", ${n}" for n in range(2, 2 + len(columns)))
    sql = f"""INSERT INTO crm_leads ({names}) SELECT 'L' || n, 'Lead', 'l@example.com'{places}
              FROM generate_series(1, $1::int) n RETURNING id"""
    return [row["id"] for row in await rest.pool.fetch(sql, count, *columns.values())]


async def _bulk(caller: Caller, path: str, ids: Any, data: Any = None, action: str = "update", **options: Any) -> Any:
    body = {"ids": ids, "action": action} | ({} if data is None else {"data": data})
    return await caller.post(f"{path}bulk_update/", body, **options)


def _by_id(body: Any) -> dict[int, Any]:
    return {one.pop("id"): one for one in body["results"]}


async def test_each_record_has_its_own_result(rest: Rest) -> None:
    rep, other = await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    mine = await _leads(rest, 2, owner_id=rep.id, assigned_to_id=other.id)
    (there,) = await _leads(rest, 1, owner_id=rep.id, status="lost", assigned_to_id=other.id)
    (hidden,) = await _leads(rest, 1, owner_id=other.id, assigned_to_id=other.id)
    before = await rest.changes()
    answer = await _bulk(rep, LEADS, [mine[1], hidden, there, mine[0], 10**9, mine[1]], {"status": "lost"})
    assert answer.status == 200
    assert answer.body == {
        "success": False,
        "updated": 2,
        "unchanged": 1,
        "failed": 2,
        "results": [
            {"id": mine[1], "result": "updated"},
            {"id": hidden, "result": "not_found", "detail": "Not found."},
            {"id": there, "result": "unchanged"},
            {"id": mine[0], "result": "updated"},
            {"id": 10**9, "result": "not_found", "detail": "Not found."},
        ],
    }
    assert await rest.changes() == before + 2
    requests = await rest.pool.fetch(
        "SELECT DISTINCT context->>'request_id' AS r, context->>'actor' AS a FROM events WHERE type = 'lead.updated'"
    )
    assert [tuple(row) for row in requests] == [(answer.headers["X-Request-ID"], str(rep.id))]
    again = await _bulk(rep, LEADS, mine, {"status": "lost"})
    assert (again.body["success"], again.body["updated"], again.body["unchanged"]) == (True, 0, 2)


async def test_what_may_be_read_and_not_changed_is_forbidden(rest: Rest) -> None:
    admin, marketing = await rest.user(), await rest.user(Role.MARKETING)
    body = {"title": "Call", "assigned_to": admin.id}
    foreign = (await admin.post("/api/v1/tasks/", body)).body["id"]
    own = (await marketing.post("/api/v1/tasks/", body)).body["id"]
    answer = await _bulk(marketing, "/api/v1/tasks/", [foreign, own], {"status": "cancelled"})
    assert [one["result"] for one in answer.body["results"]] == ["not_found", "updated"]
    (lead,) = await _leads(rest, 1)
    assert (await _bulk(marketing, LEADS, [lead], {"status": "lost"})).status == 403
    assert (await _bulk(marketing, LEADS, [lead], action="delete")).status == 403


async def test_deleting_takes_along_only_what_may_be_deleted(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    ids = [(await rep.post(CONTACTS, {**CONTACT, "email": f"{n}@example.com"})).body["id"] for n in range(3)]
    await admin.post("/api/v1/opportunities/", {**DEAL, "contact": ids[1], "assigned_to": admin.id})
    answer = await _bulk(rep, CONTACTS, ids, action="delete")
    assert (answer.status, answer.body["deleted"], answer.body["failed"]) == (200, 2, 1)
    assert _by_id(answer.body)[ids[1]] == {
        "result": "forbidden",
        "detail": "This would delete an opportunity that you may not delete.",
    }
    assert [row["id"] for row in await rest.pool.fetch("SELECT id FROM crm_contacts")] == [ids[1]]
    assert (await _bulk(admin, CONTACTS, ids, action="delete")).body["deleted"] == 1


async def test_where_the_database_refuses_only_the_culprits_fail(rest: Rest) -> None:
    admin = await rest.user()
    ids = [(await admin.post(CONTACTS, {**CONTACT, "email": f"{n}@example.com"})).body["id"] for n in range(5)]
    answer = await _bulk(admin, CONTACTS, ids, {"email": "one@example.com", "phone": "7"})
    results = _by_id(answer.body)
    assert results[ids[0]] == {"result": "updated"}
    taken = {"email": ["A contact with this email already exists."]}
    assert [results[id] for id in ids[1:]] == [{"result": "invalid", "errors": taken}] * 4
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_contacts WHERE phone = '7'") == 1


async def test_a_reference_one_cannot_see_is_refused_where_it_is_new(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    hidden = (await admin.post(CONTACTS, {**CONTACT, "assigned_to": admin.id})).body["id"]
    seen = (await rep.post(CONTACTS, {**CONTACT, "email": "seen@example.com"})).body["id"]
    deals = [
        (await admin.post("/api/v1/opportunities/", {**DEAL, "contact": c, "assigned_to": rep.id})).body["id"]
        for c in (hidden, seen)
    ]
    answer = await _bulk(rep, "/api/v1/opportunities/", deals, {"contact": hidden, "notes": "n"})
    results = _by_id(answer.body)
    assert results[deals[0]] == {"result": "updated"}
    assert results[deals[1]] == {"result": "invalid", "errors": {"contact": [f"There is no contact {hidden}."]}}


BAD = [
    ({"owner": 1}, "owner"),
    ({"id": 5}, "id"),
    ({"created_at": "2020-01-01T00:00:00Z"}, "created_at"),
    ({"updated_at": "2020-01-01T00:00:00Z"}, "updated_at"),
    ({"converted_at": None}, "converted_at"),
    ({"full_name": "x"}, "full_name"),
    ({"owner_id": 1}, "owner_id"),
    ({"is_superuser": True}, "is_superuser"),
    ({"role": "admin", "status": "lost"}, "role"),
    ({"status": "NEW"}, "status"),
    ({"first_name": ""}, "first_name"),
    ({"lead_score": True}, "lead_score"),
    ({}, "data"),
    ([], "data"),
    (None, "data"),
    ("x", "data"),
]


@pytest.mark.parametrize(("data", "field"), BAD)
async def test_what_cannot_be_set_is_refused_before_anything_is_changed(rest: Rest, data: Any, field: str) -> None:
    admin = await rest.user()
    ids = await _leads(rest, 2)
    before = await rest.changes()
    answer = await admin.post(f"{LEADS}bulk_update/", {"ids": ids, "action": "update", "data": data})
    assert (answer.status, field in answer.body) == (400, True), answer.body
    assert await rest.changes() == before


async def test_bad_requests_are_refused_by_name(rest: Rest) -> None:
    admin, viewer = await rest.user(), await rest.user(Role.VIEWER)
    (id,) = await _leads(rest, 1)
    before = await rest.changes()
    path = f"{LEADS}bulk_update/"
    good = {"ids": [id], "action": "update", "data": {"status": "lost"}}
    bad: list[Any] = [None, [], [0], ["1"], [1.5], [True], [None], [[1]], {}, id, "1", [2**63], list(range(1, 10_002))]
    for ids in bad:
        answer = await admin.post(path, {**good, "ids": ids})
        assert (answer.status, list(answer.body)) == (400, ["ids"]), ids
    for body, field in [
        ({**good, "action": "destroy"}, "action"),
        ({**good, "action": None}, "action"),
        ({"ids": [id], "data": {}}, "action"),
        ({**good, "action": "delete"}, "data"),
        ({**good, "force": True}, "force"),
        ({**good, "action": "export"}, "error"),
        ([], "non_field_errors"),
        (b"[" * 100_000, "detail"),
        (b'{"ids":' * 200_00, "detail"),
    ]:
        answer = await admin.post(path, body)
        assert (answer.status, field in answer.body) == (400, True), (body, answer.body)
    assert (await admin.post(path, b" " * 10 * 1024 * 1024)).status == 413
    assert (await admin.post(path, good, headers={"If-Match": "*"})).status == 400
    assert (await viewer.post(path, good)).status == 403
    assert (await rest.nobody.post(path, good)).status == 401
    assert await rest.changes() == before


async def test_a_repeat_gets_the_first_answer(rest: Rest) -> None:
    admin = await rest.user()
    ids = await _leads(rest, 3)
    first = await _bulk(admin, LEADS, ids, {"status": "lost"}, key="k")
    before = await rest.changes()
    again = await _bulk(admin, LEADS, ids, {"status": "lost"}, key="k")
    assert (first.body["updated"], again.body) == (3, first.body)
    assert (await _bulk(admin, LEADS, ids, {"status": "new"}, key="k")).status == 422
    assert await rest.changes() == before


async def test_more_than_fit_a_request_become_a_job(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    ids = await _leads(rest, 501, owner_id=rep.id)
    at_once = await _bulk(rep, LEADS, ids[:500], {"status": "lost"})
    assert (at_once.status, at_once.body["updated"]) == (200, 500)
    first = await _bulk(rep, LEADS, ids, {"status": "new"}, key="k")
    again = await _bulk(rep, LEADS, ids, {"status": "new"}, key="k")
    assert (first.status, again.body["id"]) == (202, first.body["id"])
    job = (await rep.get(f"/api/v1/jobs/{UUID(first.body['id'])}/")).body
    assert (job["kind"], job["status"], job["total"]) == ("bulk_update", "pending", 501)
    assert job["parameters"] == {"entity": "lead", "ids": ids, "action": "update", "data": {"status": "new"}}
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_leads WHERE status = 'new'") == 1


async def test_every_resource_has_it(rest: Rest) -> None:
    admin = await rest.user()
    task = (await admin.post("/api/v1/tasks/", {"title": "Call", "assigned_to": admin.id})).body["id"]
    answer = await _bulk(admin, "/api/v1/tasks/", [task], {"status": "completed"})
    assert answer.body["updated"] == 1
    assert (await admin.get(f"/api/v1/tasks/{task}/")).body["completed_at"] is not None
