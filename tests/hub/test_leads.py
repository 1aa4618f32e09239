"""Converting a lead: a contact, a deal if it has a value, and the lead marked, all or nothing, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Caller, Rest


async def _lead(caller: Caller, **fields: Any) -> str:
    answer = await caller.post("/api/v1/leads/", {**LEAD, **fields})
    assert answer.status == 201, answer.body
    return f"/api/v1/leads/{answer.body['id']}/"


async def test_a_lead_becomes_a_contact_and_a_deal(rest: Rest) -> None:
    rep, other = await rest.user(Role.SALES_REP), await rest.user(Role.SALES_REP)
    one = await _lead(
        rep, company_name="Holt Ltd", phone="5", job_title="CTO", estimated_value="99.50", assigned_to=other.id,
        lead_source="referral",
    )  # fmt: skip
    answer = await rep.post(f"{one}convert/", None)
    assert (answer.status, set(answer.body)) == (200, {"success", "contact_id", "opportunity_id"})
    contact = (await rep.get(f"/api/v1/contacts/{answer.body['contact_id']}/")).body
    names = ("first_name", "last_name", "email", "phone", "company_name", "job_title", "contact_type", "source")
    assert [contact[name] for name in names] == [
        "Ida", "Holt", "ida@example.com", "5", "Holt Ltd", "CTO", "customer", "referral",
    ]  # fmt: skip
    assert (contact["created_by"], contact["assigned_to"]) == (rep.id, other.id)
    deal = (await rep.get(f"/api/v1/opportunities/{answer.body['opportunity_id']}/")).body
    assert (deal["name"], deal["amount"], deal["contact"]) == ("Holt Ltd - Ida Holt", "99.50", contact["id"])
    assert (deal["owner"], deal["assigned_to"], deal["stage"]) == (rep.id, other.id, "prospecting")
    expected = date.fromisoformat(deal["expected_close_date"]) - timedelta(days=30)
    assert expected in (datetime.now(UTC).date(), datetime.now(UTC).date() - timedelta(days=1))
    lead = (await rep.get(one)).body
    assert (lead["status"], lead["converted_at"] is not None) == ("converted", True)
    requests = await rest.pool.fetch(
        "SELECT type, context->>'request_id' AS request FROM events ORDER BY id DESC LIMIT 3"
    )
    assert {row["type"] for row in requests} == {"contact.created", "opportunity.created", "lead.updated"}
    assert {row["request"] for row in requests} == {answer.headers["X-Request-ID"]}

    again = await rep.post(f"{one}convert/", {})
    assert (again.status, again.body) == (409, {"detail": "This lead is converted already."})


async def test_without_a_value_there_is_no_deal(rest: Rest) -> None:
    rep = await rest.user(Role.SALES_REP)
    for email, value in (("a@example.com", None), ("b@example.com", "0")):
        answer = await rep.post(f"{await _lead(rep, email=email, estimated_value=value)}convert/", None)
        assert (answer.status, answer.body["opportunity_id"]) == (200, None)


async def test_a_contact_with_the_address_is_taken_if_one_may_see_it(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    known = (await admin.post("/api/v1/contacts/", {**CONTACT, "email": LEAD["email"]})).body["id"]
    answer = await rep.post(f"{await _lead(rep)}convert/", None)
    assert (answer.status, answer.body["contact_id"]) == (200, known)
    assert (await admin.patch(f"/api/v1/contacts/{known}/", {"assigned_to": admin.id})).status == 200
    one = await _lead(rep)
    before = await rest.changes()
    assert (await rep.post(f"{one}convert/", None)).status == 409
    assert await rest.changes() == before


async def test_who_may_not_is_refused(rest: Rest) -> None:
    admin, rep, marketing = await rest.user(), await rest.user(Role.SALES_REP), await rest.user(Role.MARKETING)
    one = await _lead(admin, assigned_to=admin.id)
    before = await rest.changes()
    for caller, status in ((rep, 404), (marketing, 403), (rest.nobody, 401)):
        assert (await caller.post(f"{one}convert/", None)).status == status
    assert (await admin.post(f"{one}convert/", {"contact": 5})).status == 400
    assert await rest.changes() == before


async def test_of_many_at_once_one_converts(rest: Rest) -> None:
    admin = await rest.user()
    one = await _lead(admin, estimated_value="1")
    answers = await asyncio.gather(*(admin.post(f"{one}convert/", None) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert await rest.pool.fetchval("SELECT count(*) FROM crm_opportunities") == 1


async def test_leads_with_one_address_share_a_contact_also_at_once(rest: Rest) -> None:
    admin = await rest.user()
    leads = [await _lead(admin) for _ in range(6)]
    answers = await asyncio.gather(*(admin.post(f"{one}convert/", None) for one in leads))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["contact_id"] for answer in answers}) == 1


async def test_a_repeat_gets_the_first_answer(rest: Rest) -> None:
    admin = await rest.user()
    one = await _lead(admin, estimated_value="1")
    first = await admin.post(f"{one}convert/", None, key="k")
    again = await admin.post(f"{one}convert/", None, key="k")
    assert (first.status, again.status, again.body) == (200, 200, first.body)
