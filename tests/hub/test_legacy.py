"""The old paths do what the new ones do, under their own names."""

from __future__ import annotations

from typing import Any

import pytest

from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Caller, Rest

DEAL = {"name": "Deal", "amount": "10.00", "expected_close_date": "2026-12-31"}

OLD = {
    "/api/leads/leads/": "/api/v1/leads/",
    "/api/contacts/contacts/": "/api/v1/contacts/",
    "/api/opportunities/opportunities/": "/api/v1/opportunities/",
    "/api/tasks/tasks/": "/api/v1/tasks/",
}


async def _bodies(caller: Caller) -> dict[str, Any]:
    contact = (await caller.post("/api/v1/contacts/", {**CONTACT, "email": "one@example.com"})).body["id"]
    return {
        "/api/leads/leads/": LEAD,
        "/api/contacts/contacts/": CONTACT,
        "/api/opportunities/opportunities/": {**DEAL, "contact": contact},
        "/api/tasks/tasks/": {"title": "Call", "assigned_to": caller.id},
    }


async def test_records_under_their_old_paths(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    for old, body in (await _bodies(rep)).items():
        made = await rep.post(old, body, key="k")
        assert made.status == 201
        one, same = f"{old}{made.body['id']}", f"{OLD[old]}{made.body['id']}"
        assert (await rep.get(one)).body == (await rep.get(same)).body == made.body
        assert (await rep.get(f"{old}?page_size=50")).body["results"] == (await rep.get(OLD[old])).body["results"]
        assert (await rep.patch(one, {"colour": 1})).status == 400
        assert (await rep.put(one, made.body, headers={"If-Match": made.headers["ETag"]})).status == 200
        assert (await rest.nobody.get(one)).status == 401
        assert (await rep.delete(one)).status == 204
        assert (await rep.get(same)).status == 404


@pytest.mark.parametrize(("old", "kind", "data"), [
    ("/api/leads/leads/", "lead", {"status": "lost"}),
    ("/api/contacts/contacts/", "contact", {"city": "Ulm"}),
    ("/api/opportunities/opportunities/", "opportunity", {"stage": "proposal"}),
    ("/api/tasks/tasks/", "task", {"status": "completed"}),
])  # fmt: skip
async def test_many_at_once_in_their_words(rest: Rest, old: str, kind: str, data: Any) -> None:
    rep = await rest.user(Role.SALES_REP)
    body = (await _bodies(rep))[old]
    id = (await rep.post(old, body)).body["id"]
    path = OLD[old].split("/")[3]
    answer = await rep.post(f"{old}bulk_update/", {f"{kind}_ids": [id, 10**6], "updates": data}, key="k")
    assert (answer.status, answer.body["message"], answer.body["updated_count"]) == (200, f"1 {path} updated.", 1)
    assert (answer.body["failed"], answer.body["results"][0]["result"]) == (1, "updated")
    again = await rep.post(f"{old}bulk_update/", {f"{kind}_ids": [id, 10**6], "updates": data}, key="k")
    assert (again.body, again.headers["Idempotency-Replayed"]) == (answer.body, "true")
    ids, updates = f"{kind}_ids", "updates"
    for bad, field in (
        ({"ids": [id]}, "ids"),
        ({ids: id, updates: data}, ids),
        ({ids: [id]}, updates),
        ({ids: [id], updates: {"id": 3}}, "id"),
    ):
        refused = await rep.post(f"{old}bulk_update/", bad)
        assert (refused.status, list(refused.body)) == (400, [field])
    gone = await rep.post(f"{old}bulk_delete/", {f"{kind}_ids": [id]})
    assert (gone.body["message"], gone.body["deleted_count"]) == (f"1 {path} deleted.", 1)


async def test_what_can_be_done_with_one(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    bodies = await _bodies(rep)
    ids = {old: (await rep.post(old, body)).body["id"] for old, body in bodies.items()}
    lead, deal, task = (f"{old}{ids[old]}/" for old in OLD if "contacts" not in old)
    assert (await rep.post(f"{lead}convert/", {})).body["success"] is True
    assert (await rep.post(f"{deal}update_stage/", {"stage": "closed_won"})).body["stage"] == "closed_won"
    assert (await rep.post(f"{task}complete/", None)).body["status"] == "completed"
    assert (await rep.post(f"{task}reopen/", None)).body["status"] == "pending"


async def test_parameters_under_their_old_names(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    await rep.post("/api/v1/leads/", {**LEAD, "lead_source": "referral"})
    await rep.post("/api/v1/leads/", LEAD)
    body = (await rep.get("/api/leads/leads/?source=referral")).body
    assert [lead["lead_source"] for lead in body["results"]] == ["referral"]
    assert (await rep.get("/api/leads/leads/?sauce=referral")).status == 400
    contact = (await rep.post("/api/v1/contacts/", CONTACT)).body["id"]
    for amount in ("5.00", "15.00", "25.00"):
        await rep.post("/api/v1/opportunities/", {**DEAL, "amount": amount, "contact": contact})
    deals = (await rep.get("/api/opportunities/opportunities/?min_amount=10&max_amount=20&page_size=50")).body
    assert [deal["amount"] for deal in deals["results"]] == ["15.00"]


async def test_overviews(rest: Rest) -> None:
    rep, other = await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    contact = (await rep.post("/api/v1/contacts/", CONTACT)).body["id"]
    for amount in ("1.50", "2.00"):
        await rep.post("/api/v1/opportunities/", {**DEAL, "amount": amount, "contact": contact, "stage": "proposal"})
    stages = (await rep.get("/api/opportunities/opportunities/pipeline/")).body
    assert len(stages) == 6
    proposal = stages["proposal"]
    assert (proposal["name"], proposal["count"], proposal["total_value"]) == ("Proposal", 2, 3.5)
    assert [deal["amount"] for deal in proposal["opportunities"]] == ["2.00", "1.50"]
    assert stages["closed_won"] == {"name": "Closed Won", "opportunities": [], "count": 0, "total_value": 0.0}

    for title, days, status in (
        ("a", -400, "pending"),
        ("b", 0, "in_progress"),
        ("c", 0, "completed"),
        ("d", 40, "pending"),
    ):
        await rest.pool.execute(
            """INSERT INTO crm_tasks (title, status, assigned_to_id, due_date)
               VALUES ($1, $2, $3, date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
                                   + make_interval(days => $4, hours => 23, mins => 59, secs => 59))""",
            title, status, rep.id, days,
        )  # fmt: skip
    board = (await rep.get("/api/tasks/tasks/dashboard/")).body
    assert board["status_counts"]["in_progress"] == {"name": "In Progress", "count": 1}
    assert (board["overdue_tasks"], board["due_today_tasks"], board["due_this_week_tasks"]) == (1, 1, 1)
    assert (await other.get("/api/tasks/tasks/dashboard/")).body["overdue_tasks"] == 0


async def _notified(rest: Rest, user: int, count: int) -> list[str]:
    rows = await rest.pool.fetch(
        """INSERT INTO notifications (event_id, user_id, notification_type, title, object_type, object_id, actor_id)
           SELECT n, $1::bigint, 'assignment', 'T' || n, 'lead', '7', $1 FROM generate_series(1, $2::int) n
           RETURNING id""",
        user,
        count,
    )
    return [str(row["id"]) for row in rows]


async def test_ones_own_notifications(rest: Rest) -> None:
    rep, other = await rest.user(Role.SALES_REP, first_name="Ann"), await rest.user(Role.SALES_REP)
    first, *_ = await _notified(rest, rep.id, 3)
    (foreign,) = await _notified(rest, other.id, 1)
    for base in ("/api/activity/notifications/", "/api/activity-feed/notifications/"):
        body = (await rep.get(base)).body
        assert (body["count"], {one["user"] for one in body["results"]}) == (3, {rep.id})
        assert (await rep.get(f"{base}{foreign}/")).status == (await rep.get(f"{base}7/")).status == 404
        assert (await rep.get(f"{base}?is_read=perhaps")).status == (await rep.get(f"{base}?colour=1")).status == 400
        assert (await rest.nobody.get(base)).status == 401
    base = "/api/activity/notifications/"
    one = (await rep.get(f"{base}{first}/")).body
    assert (one["target_type"], one["content_type"], one["actor_name"], one["is_read"], one["read_at"]) == (
        "lead", 3, "Ann", False, None,
    )  # fmt: skip
    read = (await rep.post(f"{base}{first}/mark_read/", None)).body
    assert (read["is_read"], read["read_at"] is not None) == (True, True)
    before = await rest.changes()
    assert (await rep.post(f"{base}{first}/mark_read/", {})).body == read
    assert await rest.changes() == before
    assert (await rep.post(f"{base}{foreign}/mark_read/", None)).status == 404
    assert (await rep.get(f"{base}unread_count/")).body == {"count": 2}
    assert (await rep.get(f"{base}?is_read=false")).body["count"] == 2
    assert (await rep.post(f"{base}mark_all_read/", None)).body.keys() == {"message"}
    assert (await rep.get(f"{base}unread_count")).body == {"count": 0}
    assert (await rep.get(f"{base}?is_read=true&page_size=2")).body["count"] == 3
    assert (await other.get(f"{base}unread_count/")).body == {"count": 1}
