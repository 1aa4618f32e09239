"""Records by REST: what is sent is kept, who may not is refused, lists are what an oracle says."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from models.access import Role
from tests.hub.rest import CONTACT, LEAD, Caller, Rest

DEAL = {"name": "Deal", "amount": "1200.10", "expected_close_date": "2026-12-31"}

PATHS = ("leads", "contacts", "opportunities", "tasks")


async def created(caller: Caller, path: str, body: Any) -> dict[str, Any]:
    """The record a caller makes."""
    answer = await caller.post(f"/api/v1/{path}/", body)
    assert answer.status == 201, answer.body
    return dict(answer.body)


async def test_a_record_from_birth_to_death(rest: Rest) -> None:
    ann = await rest.user(Role.SALES_REP, username="ann", first_name="Ann", last_name="Ruud")
    lead = await created(ann, "leads", {**LEAD, "tags": ["a"], "estimated_value": 1200.1})
    assert (lead["owner"], lead["status"], lead["estimated_value"]) == (ann.id, "new", "1200.10")
    assert lead["owner_detail"] == {
        "id": ann.id,
        "username": "ann",
        "email": "ann@example.com",
        "full_name": "Ann Ruud",
    }
    path = f"/api/v1/leads/{lead['id']}/"
    assert (await ann.get(path)).body == lead

    patched = await ann.patch(path, {"status": "contacted", "assigned_to": ann.id})
    assert patched.status == 200
    assert patched.body == {
        **lead,
        "status": "contacted",
        "assigned_to": ann.id,
        "assigned_to_detail": lead["owner_detail"],
        "updated_at": patched.body["updated_at"],
    }
    assert patched.body["updated_at"] > lead["updated_at"]

    assert (await ann.put(path, {"first_name": "only"})).status == 400
    replaced = await ann.put(path, {**patched.body, "phone": "123"})
    assert (replaced.status, replaced.body["phone"], replaced.body["tags"]) == (200, "123", ["a"])

    (row,) = (await ann.get("/api/v1/leads/")).body["results"]
    assert row["assigned_to_name"] == row["owner_name"] == "Ann Ruud"
    assert "notes" not in row

    assert (await ann.delete(path)).status == 204
    assert (await ann.get(path)).status == (await ann.delete(path)).status == 404


async def test_every_resource_keeps_what_it_is_sent(rest: Rest) -> None:
    admin = await rest.user()
    contact = await created(admin, "contacts", {**CONTACT, "salutation": "dr", "website": "https://example.com"})
    deal = await created(
        admin, "opportunities", {**DEAL, "contact": contact["id"], "probability": 25, "currency": "eur"}
    )
    assert (deal["weighted_amount"], deal["currency"]) == ("300.02", "EUR")
    assert deal["contact_detail"]["full_name"] == contact["full_name"] == "Kai Brandt"
    assert "notes" not in deal["contact_detail"]
    due = {"due_date": "2026-03-31T10:00:00+02:00"}
    task = await created(admin, "tasks", {"title": "Call", "assigned_to": admin.id, **due})
    assert (task["due_date"], task["created_by"], task["status"]) == ("2026-03-31T08:00:00Z", admin.id, "pending")
    (listed,) = (await admin.get("/api/v1/opportunities/")).body["results"]
    assert listed["contact_name"] == "Kai Brandt"
    assert "assigned_to_name" not in listed
    answer = await admin.post("/api/v1/contacts/", CONTACT)
    assert (answer.status, answer.body) == (400, {"email": ["A contact with this email already exists."]})


async def test_bad_bodies_change_nothing(rest: Rest) -> None:
    admin = await rest.user()
    lead = await created(admin, "leads", LEAD)
    before = await rest.changes()
    one = f"/api/v1/leads/{lead['id']}/"
    for body, field in [
        ({"colour": "red"}, "colour"),
        ({"lead_score": "high"}, "lead_score"),
        ({"lead_score": 101}, "lead_score"),
        ({"status": "NEW"}, "status"),
        ({"first_name": " "}, "first_name"),
        ({"assigned_to": 999}, "assigned_to"),
        ({"estimated_value": "NaN"}, "estimated_value"),
        ({"owner": 999}, "owner"),
        ({"id": lead["id"] + 1}, "id"),
        ({"phone": "1" * 21, "status": "lost"}, "phone"),
        ({"custom_fields": {"a": "\x00"}}, "custom_fields"),
        ({"custom_fields": {"a": 1}}, "custom_fields.a"),
        ({"custom_fields": None}, "custom_fields"),
        ([], "non_field_errors"),
        (5, "non_field_errors"),
        (b'{"first_name": ', "detail"),
        (b"", "detail"),
        (b"\xff\xfe", "detail"),
        (b"[" * 5000, "detail"),
        (b'{"notes": "\\ud800"}', "detail"),
    ]:
        whole = {**LEAD, **body} if isinstance(body, dict) else body
        for answer in (await admin.patch(one, body), await admin.post("/api/v1/leads/", whole)):
            assert (answer.status, field in answer.body) == (400, True), (body, answer.body)
    huge = await admin.post("/api/v1/leads/", b"x" * (1024 * 1024 + 1))
    assert (huge.status, huge.body) == (413, {"detail": "The body may have at most 1,048,576 bytes."})
    assert await rest.changes() == before
    assert (await admin.get(one)).body == lead


async def test_a_patch_that_changes_nothing_leaves_nothing(rest: Rest) -> None:
    admin = await rest.user()
    lead = await created(admin, "leads", LEAD)
    before = await rest.changes()
    answer = await admin.put(f"/api/v1/leads/{lead['id']}/", lead)
    assert (answer.status, answer.body) == (200, lead)
    assert await rest.changes() == before


MEANWHILE = [
    ("UPDATE crm_leads SET assigned_to_id = {admin}, owner_id = {admin}", 404, 1),
    ("DELETE FROM crm_leads", 404, 1),
    # What it is not judged by may change: both changes are kept.
    ("UPDATE crm_leads SET phone = '5'", 200, 2),
    ("UPDATE crm_leads SET assigned_to_id = NULL", 200, 2),
]


@pytest.mark.parametrize(("change", "status", "changes"), MEANWHILE)
async def test_what_changes_while_a_patch_waits_counts(rest: Rest, change: str, status: int, changes: int) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    lead = await created(admin, "leads", {**LEAD, "assigned_to": rep.id})
    before = await rest.changes()
    async with rest.pool.acquire() as connection, connection.transaction():
        await connection.execute(change.format(admin=admin.id))
        call = asyncio.ensure_future(rep.patch(f"/api/v1/leads/{lead['id']}/", {"notes": "late"}))
        await rest.blocked(1)
    answer = await call
    assert answer.status == status
    assert await rest.changes() == before + changes
    if status == 200:
        (row,) = await rest.pool.fetch("SELECT phone, assigned_to_id, notes FROM crm_leads")
        assert tuple(row) == (answer.body["phone"], answer.body["assigned_to"], "late")


async def test_each_change_says_who_and_which_request(rest: Rest) -> None:
    admin = await rest.user()
    request = "11111111-2222-4333-8444-555555555555"
    headers = {"X-Request-ID": request, "User-Agent": "tests"}
    answer = await admin.post("/api/v1/leads/", LEAD, headers=headers)
    assert answer.headers["X-Request-ID"] == request
    context = await rest.pool.fetchrow(
        "SELECT context->>'actor' AS actor, context->>'request_id' AS request, context->>'ip' AS ip,"
        " context->>'user_agent' AS agent, context->>'source' AS source FROM events WHERE type = 'lead.created'"
    )
    assert context is not None
    assert tuple(context) == (str(admin.id), request, "127.0.0.1", "tests", "api")
    assert (await admin.get("/api/v1/", headers={"X-Request-ID": "no uuid"})).headers["X-Request-ID"] != "no uuid"


#: For each role: may read a foreign assigned record, may change it; per path.
FOREIGN = {
    Role.MANAGER: {path: (200, 200) for path in PATHS},
    Role.SALES_REP: {path: (404, 404) for path in PATHS},
    Role.MARKETING: {"leads": (200, 403), "contacts": (200, 200), "opportunities": (404, 404), "tasks": (404, 404)},
    Role.CUSTOMER_SUPPORT: {
        "leads": (200, 403),
        "contacts": (200, 200),
        "opportunities": (200, 403),
        "tasks": (200, 200),
    },
    Role.VIEWER: {path: (200, 403) for path in PATHS},
}


async def test_foreign_records_by_each_role(rest: Rest) -> None:
    admin = await rest.user()
    assigned = {"assigned_to": admin.id}
    contact = await created(admin, "contacts", {**CONTACT, **assigned})
    records = {
        "leads": await created(admin, "leads", {**LEAD, **assigned}),
        "contacts": contact,
        "opportunities": await created(admin, "opportunities", {**DEAL, **assigned, "contact": contact["id"]}),
        "tasks": await created(admin, "tasks", {"title": "Call", **assigned}),
    }
    for role, expected in FOREIGN.items():
        caller = await rest.user(role)
        for path, (read, changed) in expected.items():
            one = f"/api/v1/{path}/{records[path]['id']}/"
            assert (await caller.get(one)).status == read, (role, path)
            assert (await caller.patch(one, {})).status == changed, (role, path)
            assert (await caller.patch(one, {"nonsense": 1})).status in (changed, 400), (role, path)
            assert (await caller.get(f"/api/v1/{path}/")).body["count"] == (read == 200), (role, path)
            if changed != 200:
                assert (await caller.delete(one)).status == changed, (role, path)
    viewer = await rest.user(Role.VIEWER)
    assert (await viewer.post("/api/v1/leads/", {"nonsense": 1})).status == 403


async def test_a_reference_to_what_one_cannot_see_is_refused_and_hidden(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    hidden = await created(admin, "contacts", {**CONTACT, "assigned_to": admin.id})
    refused = await rep.post("/api/v1/opportunities/", {**DEAL, "contact": hidden["id"]})
    missing = await rep.post("/api/v1/opportunities/", {**DEAL, "contact": hidden["id"] + 1})
    assert refused.status == missing.status == 400
    assert refused.body["contact"][0].replace(str(hidden["id"]), "?") == missing.body["contact"][0].replace(
        str(hidden["id"] + 1), "?"
    )
    deal = await created(admin, "opportunities", {**DEAL, "contact": hidden["id"], "assigned_to": rep.id})
    seen = (await rep.get(f"/api/v1/opportunities/{deal['id']}/")).body
    assert (seen["contact"], seen["contact_detail"]) == (hidden["id"], None)
    assert "contact_name" not in (await rep.get("/api/v1/opportunities/")).body["results"][0]
    # What stands there already may be sent back.
    assert (await rep.put(f"/api/v1/opportunities/{deal['id']}/", seen)).status == 200


async def test_deleting_a_contact_needs_the_right_to_delete_its_deals(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    contact = await created(rep, "contacts", CONTACT)
    one = f"/api/v1/contacts/{contact['id']}/"
    deal = await created(admin, "opportunities", {**DEAL, "contact": contact["id"], "assigned_to": admin.id})
    refused = await rep.delete(one)
    assert (refused.status, list(refused.body)) == (403, ["detail"])
    assert (await admin.patch(f"/api/v1/opportunities/{deal['id']}/", {"assigned_to": rep.id})).status == 200
    assert (await rep.delete(one)).status == 204
    assert (await admin.get(f"/api/v1/opportunities/{deal['id']}/")).status == 404


async def _leads(rest: Rest, caller: Caller, other: Caller) -> list[dict[str, Any]]:
    choices = itertools.product(("new", "lost"), ("low", "high"), (caller.id, other.id, None), (None, "5.00"))
    bodies = [
        {**LEAD, "status": status, "priority": priority, "assigned_to": who, "estimated_value": value}
        for status, priority, who, value in choices
    ]
    made = await asyncio.gather(*(created(caller, "leads", body) for body in bodies))
    return sorted(made, key=lambda lead: lead["id"])


async def test_filters_and_order_are_what_an_oracle_says(rest: Rest) -> None:
    caller, other = await rest.user(), await rest.user(Role.SALES_REP)
    leads = await _leads(rest, caller, other)
    filters: list[dict[str, Any]] = [
        {},
        {"status": "new"},
        {"priority": "high", "status": "lost"},
        {"assigned_to": other.id},
        {"owner": caller.id, "assigned_to": caller.id},
        {"owner": other.id},
    ]
    for chosen in filters:
        wanted = [lead for lead in leads if all(lead[name] == value for name, value in chosen.items())]
        for field, sign in itertools.product(("estimated_value", "created_at"), ("", "-")):
            # Nulls are last either way; ids break ties in the same direction.
            ordered = sorted(wanted, key=lambda lead: (lead[field] or "", lead["id"]), reverse=bool(sign))
            ordered.sort(key=lambda lead: lead[field] is None)
            query = {**chosen, "ordering": sign + field, "page_size": 100}
            answer = (await caller.get("/api/v1/leads/", params=query)).body
            assert answer["count"] == len(wanted)
            assert [row["id"] for row in answer["results"]] == [lead["id"] for lead in ordered], query
    mine = (await other.get("/api/v1/leads/", params={"assigned_to_me": "true"})).body
    assert mine["count"] == sum(lead["assigned_to"] == other.id for lead in leads)
    assert (await other.get("/api/v1/leads/")).body["count"] == sum(lead["assigned_to"] != caller.id for lead in leads)


async def test_pages_join_to_the_whole(rest: Rest) -> None:
    caller = await rest.user()
    await _leads(rest, caller, caller)
    whole = (await caller.get("/api/v1/leads/?ordering=estimated_value&page_size=100")).body["results"]
    assert len(whole) == 24
    pages = []
    following = f"{rest.url}/api/v1/leads/?ordering=estimated_value&page_size=7"
    backwards = None
    while following:
        answer = (await caller.get(following.removeprefix(rest.url))).body
        assert answer["count"] == 24
        if backwards is not None:
            before = (await caller.get(answer["previous"].removeprefix(rest.url))).body["results"]
            assert before == backwards
        pages.extend(answer["results"])
        backwards, following = answer["results"], answer["next"]
    assert pages == whole
    assert len((await caller.get("/api/v1/leads/")).body["results"]) == 20


REFUSED_QUERIES = [
    ("nothing=1", 400, "nothing"),
    ("amount__gte=1", 400, "amount__gte"),
    ("lead_score__above=1", 400, "lead_score__above"),
    ("lead_score__gte=x", 400, "lead_score__gte"),
    ("lead_score__range=1", 400, "lead_score__range"),
    ("owner__password=x", 400, "owner__password"),
    ("owner__username__like=x", 400, "owner__username__like"),
    ("custom_fields=x", 400, "custom_fields"),
    ("filter=x", 400, "filter"),
    ("filter=[]", 400, "filter"),
    ('filter={"colour":"red"}', 400, "filter"),
    ('filter={"status":null}', 400, "filter"),
    ("search=%26", 400, "search"),
    ("search=a b c d e f g h i j k", 400, "search"),
    ("cursor=x", 400, "cursor"),
    ("cursor=&page=1", 400, "cursor"),
    ("count=some", 400, "count"),
    ("ordering=notes", 400, "ordering"),
    ("ordering=owner__password", 400, "ordering"),
    ("ordering=status,-status", 400, "ordering"),
    ("status=NEW", 400, "status"),
    ("status=", 400, "status"),
    ("status=new&status=lost", 400, "status"),
    ("assigned_to=me", 400, "assigned_to"),
    ("assigned_to=999999", 400, "assigned_to"),
    ("assigned_to=99999999999999999999", 400, "assigned_to"),
    ("assigned_to_me=perhaps", 400, "assigned_to_me"),
    ("ordering=password", 400, "ordering"),
    ("ordering=", 400, "ordering"),
    ("ordering=--created_at", 400, "ordering"),
    ("page_size=0", 400, "page_size"),
    ("page_size=101", 400, "page_size"),
    ("page_size=x", 400, "page_size"),
    ("page=0", 404, "detail"),
    ("page=2", 404, "detail"),
    ("page=x", 404, "detail"),
    ("page=99999999999999999999", 404, "detail"),
    ("page=1&status=%00", 400, "status"),
]


async def test_bad_queries_are_refused_by_name(rest: Rest) -> None:
    admin = await rest.user()
    for query, status, key in REFUSED_QUERIES:
        answer = await admin.get(f"/api/v1/leads/?{query}")
        assert (answer.status, list(answer.body)) == (status, [key]), query


async def test_overdue_tasks(rest: Rest) -> None:
    admin = await rest.user()
    task = {"title": "t", "assigned_to": admin.id}
    late = await created(admin, "tasks", {**task, "due_date": "2020-01-01T00:00:00Z"})
    await created(admin, "tasks", {**task, "due_date": "2020-01-01T00:00:00Z", "status": "completed"})
    await created(admin, "tasks", {**task, "due_date": "9000-01-01T00:00:00Z"})
    await created(admin, "tasks", task)
    overdue = (await admin.get("/api/v1/tasks/?overdue=true")).body["results"]
    assert [row["id"] for row in overdue] == [late["id"]]
    assert (await admin.get("/api/v1/tasks/?overdue=false")).body["count"] == 4


async def test_callers_who_hang_up_leave_the_hub_whole(rest: Rest) -> None:
    admin = await rest.user()
    for delay in range(60):
        call = asyncio.ensure_future(admin.post("/api/v1/leads/", LEAD))
        done, _ = await asyncio.wait({call}, timeout=delay / 4000)
        if not done:
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
    answers = await asyncio.gather(*(admin.post("/api/v1/leads/", LEAD) for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    kept = await rest.pool.fetchval("SELECT count(*) FROM crm_leads")
    assert await rest.pool.fetchval("SELECT count(*) FROM events WHERE type = 'lead.created'") == kept
