"""Tasks are completed and taken up again, deals move from stage to stage; the dates follow by whatever way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Caller, Rest

DEAL = {"name": "Deal", "amount": "10.00", "expected_close_date": "2026-12-31"}


async def _task(caller: Caller, **fields: Any) -> str:
    answer = await caller.post("/api/v1/tasks/", {"title": "Call", "assigned_to": caller.id, **fields})
    return f"/api/v1/tasks/{answer.body['id']}/"


async def _deal(caller: Caller, **fields: Any) -> str:
    contact = await caller.post("/api/v1/contacts/", CONTACT)
    answer = await caller.post("/api/v1/opportunities/", {**DEAL, "contact": contact.body["id"], **fields})
    return f"/api/v1/opportunities/{answer.body['id']}/"


async def test_completing_a_task_and_taking_it_up_again(rest: Rest) -> None:
    rep, other = await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    one = await _task(rep)
    done = await rep.post(f"{one}complete/", None)
    assert (done.status, done.body["status"], done.body["title"]) == (200, "completed", "Call")
    assert done.body["completed_at"] is not None
    before = await rest.changes()
    assert (await rep.post(f"{one}complete/", {})).body == done.body
    assert await rest.changes() == before
    again = await rep.post(f"{one}reopen/", None)
    assert (again.body["status"], again.body["completed_at"]) == ("pending", None)
    assert (await other.post(f"{one}complete/", None)).status == 404
    assert (await rep.post(f"{one}complete/", {"status": "pending"})).status == 400
    assert (await rep.post("/api/v1/tasks/999/complete/", None)).status == 404


async def test_a_date_one_names_is_kept(rest: Rest) -> None:
    admin = await rest.user()
    day = "2026-01-05T10:00:00Z"
    one = await _task(admin, status="completed", completed_at=day)
    assert (await admin.get(one)).body["completed_at"] == day
    assert (await admin.patch(one, {"notes": "x"})).status == 400  # tasks show no notes
    assert (await admin.patch(one, {"title": "Call again"})).body["completed_at"] == day
    assert (await admin.patch(one, {"status": "in_progress"})).body["completed_at"] is None
    moved = await admin.patch(one, {"status": "completed", "completed_at": day})
    assert moved.body["completed_at"] == day
    # A client that sends back the whole record means the status it changed.
    assert (await admin.put(one, {**moved.body, "status": "pending"})).body["completed_at"] is None


async def test_a_deal_has_its_day_while_it_is_closed(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    one = await _deal(rep)
    stage = f"{one}update_stage/"
    days = {str(datetime.now(UTC).date() - timedelta(days=back)) for back in (0, 1)}
    moved = (await rep.post(stage, {"stage": "negotiation"})).body
    assert (moved["stage"], moved["actual_close_date"], moved["probability"]) == ("negotiation", None, 10)
    assert moved["last_activity_date"] is not None
    won = (await rep.post(stage, {"stage": "closed_won"})).body
    assert won["actual_close_date"] in days
    assert won["last_activity_date"] > moved["last_activity_date"]
    early = (await rep.patch(one, {"actual_close_date": "2026-01-05"})).body
    lost = (await rep.patch(one, {"stage": "closed_lost"})).body
    assert early["actual_close_date"] == lost["actual_close_date"] == "2026-01-05"
    again = (await rep.post(stage, {"stage": "proposal"})).body
    assert again["actual_close_date"] is None
    for body, field in (({"stage": "won"}, "stage"), ({}, "stage"), ({"stage": "proposal", "amount": "1"}, "amount")):
        answer = await rep.post(stage, body)
        assert (answer.status, list(answer.body)) == (400, [field])
    support = await rest.user(Role.CUSTOMER_SUPPORT)
    assert (await support.post(stage, {"stage": "closed_won"})).status == 403


async def test_a_deal_may_be_closed_from_the_start(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    deal = (await rep.get(await _deal(rep, stage="closed_won", actual_close_date="2026-02-03"))).body
    assert deal["actual_close_date"] == "2026-02-03"


async def test_a_lead_marked_as_converted_has_the_time_until_it_is_not(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    one = f"/api/v1/leads/{(await rep.post('/api/v1/leads/', LEAD)).body['id']}/"
    assert (await rep.patch(one, {"status": "converted"})).body["converted_at"] is not None
    assert (await rep.patch(one, {"status": "qualified"})).body["converted_at"] is None


async def test_plain_sql_has_the_dates_too(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    one = await _deal(rep)
    await rest.pool.execute("UPDATE crm_opportunities SET stage = 'closed_won'")
    assert (await rep.get(one)).body["actual_close_date"] is not None
    after = await rest.pool.fetchval(
        "SELECT data->'after'->>'actual_close_date' FROM events WHERE type = 'opportunity.updated'"
    )
    assert after is not None
