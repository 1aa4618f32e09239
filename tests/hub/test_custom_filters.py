"""Filtering and ordering by custom fields: by their own indexes, which a job makes."""

from __future__ import annotations

from typing import Any

import pytest

from hub.definitions import DEFINITIONS
from models.access import Role
from streams.agents import AGENTS
from tests.hub.rest import CONTACT, Caller, Rest
from tests.hub.test_custom_fields import FIELDS, defined, made
from tests.streams.story import Story

OPEN = "SELECT count(*) FROM jobs WHERE status IN ('pending', 'running')"
INDEXES = "SELECT indexname FROM pg_indexes WHERE indexname ~ '^crm_custom_[0-9]+_' ORDER BY 1"


async def _work(rest: Rest) -> None:
    """Do every step of every job, and have this node know of it."""
    story = Story(rest.pool)
    while await rest.pool.fetchval(OPEN):
        await story.follow(AGENTS["jobs"])
    await rest.app[DEFINITIONS].refresh()


async def _found(caller: Caller, query: str) -> list[str]:
    answer = await caller.get(f"/api/v1/leads/?{query}")
    assert answer.status == 200, answer.body
    return [lead["phone"] for lead in answer.body["results"]]


#: Name, type, options, values, and queries with the places of the values they keep; the last place has no value.
FILTERED: list[tuple[str, str, list[str], list[Any], dict[str, set[int]]]] = [
    (
        "word",
        "text",
        [],
        ["b", "Á", "a%_"],
        {"=b": {0}, "__iexact=a": {1}, "__contains=%25_": {2}, "__ne=b": {1, 2, 3}, "__isnull=true": {3}},
    ),
    (
        "revenue",
        "decimal",
        [],
        ["10.00", "9.50", "-1.00"],
        {"__gte=9.5": {0, 1}, "__lt=0": {2}, "=10": {0}, "__range=-1,9.5": {1, 2}},
    ),
    ("size", "number", [], [2**53 + 1, 0, -5], {"__gt=9007199254740992": {0}, "__in=0,-5": {1, 2}}),
    ("vip", "boolean", [], [True, False], {"=true": {0}, "=false": {1}, "__ne=true": {1, 2}}),
    ("due", "date", [], ["2024-02-29", "2026-01-01"], {"__lte=2024-02-29": {0}, "__gt=2024-12-31": {1}}),
    (
        "at",
        "datetime",
        [],
        ["2026-03-31T22:30:00.5Z", "2026-04-01T00:00:00Z"],
        {"__date=2026-03-31": {0}, "__gte=2026-04-01T02:00:00%2B02:00": {1}},
    ),
    ("kind", "select", ["a", "b"], ["a", "b"], {"=a": {0}, "__in=a,b": {0, 1}}),
    ("tags", "multiselect", ["a", "b", "c"], [["a", "b"], ["c"]], {"__contains=a": {0}, "__contains=b,a": {0}}),
]


async def test_what_filters_keep(rest: Rest) -> None:
    admin = await rest.user()
    for name, type, options, _, _ in FILTERED:
        await defined(admin, name, type, is_filterable=True, options=options)
    await _work(rest)
    for name, _, _, values, queries in FILTERED:
        leads = [await made(admin, phone=str(at), custom_fields={name: v}) for at, v in enumerate([*values, None])]
        for query, places in queries.items():
            found = await _found(admin, f"custom_fields__{name}{query}")
            assert sorted(found) == sorted(map(str, places)), (name, query)
        for lead in leads:
            assert (await admin.delete(f"/api/v1/leads/{lead['id']}/")).status == 204


async def test_filters_wait_for_the_index_and_use_it(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "revenue", "decimal")
    query = "custom_fields__revenue__gte=5"
    assert (await admin.get(f"/api/v1/leads/?{query}")).status == 400
    assert (await admin.patch(f"{FIELDS}{field['id']}/", {"is_filterable": True})).status == 200
    for asked in (query, "ordering=-custom_fields__revenue", 'filter={"not":{"custom_fields__revenue":1}}'):
        waiting = await admin.get(f"/api/v1/leads/?{asked}")
        jobs = (await admin.get("/api/v1/jobs/?kind=custom_field_index")).body
        (job,) = jobs["results"]
        assert jobs["count"] == 1
        assert waiting.status == 409
        assert waiting.body["detail"] == (
            f"The index of custom_fields__revenue is not ready yet. Job {job['id']} is pending."
        )
    for value in ("7.00", "10.00", None, "1.00"):
        await made(admin, phone=str(value), custom_fields={"revenue": value})
    await _work(rest)
    assert (await admin.get(f"/api/v1/jobs/{job['id']}/")).body["result"] == {
        "indexes": [f"crm_custom_{field['id']}_decimal"]
    }
    assert await _found(admin, f"{query}&ordering=custom_fields__revenue") == ["7.00", "10.00"]
    assert await _found(admin, "ordering=-custom_fields__revenue") == ["10.00", "7.00", "1.00", "None"]
    async with rest.pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        rows = await connection.fetch(
            "EXPLAIN SELECT id FROM crm_leads WHERE hub_custom_number(custom_fields, 'revenue') >= 5"
        )
        await connection.execute("RESET enable_seqscan")
    assert f"crm_custom_{field['id']}_decimal" in "\n".join(row[0] for row in rows)
    assert (await admin.post(f"{FIELDS}{field['id']}/change_type/", {"field_type": "text"})).status == 200
    assert (await admin.get(f"/api/v1/leads/?{query}")).status == 409
    await _work(rest)
    assert await _found(admin, "custom_fields__revenue__startswith=10") == ["10.00"]
    names = [f"crm_custom_{field['id']}_text", f"crm_custom_{field['id']}_text_folded"]
    assert [row[0] for row in await rest.pool.fetch(INDEXES)] == names
    assert (await admin.delete(f"{FIELDS}{field['id']}/")).status == 204
    assert (await admin.get(f"/api/v1/leads/?{query}")).status == 400
    await _work(rest)
    assert await rest.pool.fetch(INDEXES) == []


async def test_an_index_that_was_begun_and_left_is_made_anew(rest: Rest) -> None:
    admin = await rest.user()
    await made(admin)
    await made(admin)
    field = await defined(admin, "size", "number", is_filterable=True)
    name = f"crm_custom_{field['id']}_number"
    with pytest.raises(Exception, match="could not create unique index"):
        await rest.pool.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON crm_leads ((1))")
    assert [row[0] for row in await rest.pool.fetch(INDEXES)] == [name]
    await _work(rest)
    assert await _found(admin, "custom_fields__size__isnull=false") == []
    defined_as = await rest.pool.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = $1", name)
    assert "hub_custom_number" in defined_as


async def test_what_cannot_be_filtered_by(rest: Rest) -> None:
    admin, rep = await rest.user(), await rest.user(Role.SALES_REP)
    for type in ("textarea", "file"):
        body = {"name": "x", "label": "X", "field_type": type, "content_type": "lead", "is_filterable": True}
        assert list((await admin.post(FIELDS, body)).body) == ["is_filterable"]
    await defined(admin, "secret", "number", is_filterable=True, visible_to_roles=["manager"])
    await defined(admin, "plain", "number")
    await _work(rest)
    for name in ("secret", "plain", "nothing"):
        answer = await rep.get(f"/api/v1/leads/?custom_fields__{name}=1")
        assert answer.status == 400
        assert "secret" not in str(answer.body).replace(f"custom_fields__{name}", "")


async def test_fields_of_what_a_record_refers_to(rest: Rest) -> None:
    admin = await rest.user()
    await defined(admin, "region", content_type="contact", is_filterable=True)
    await _work(rest)
    contact = (await admin.post("/api/v1/contacts/", {**CONTACT, "custom_fields": {"region": "north"}})).body["id"]
    deal = {"name": "Deal", "amount": "5.00", "contact": contact, "expected_close_date": "2027-01-01"}
    assert (await admin.post("/api/v1/opportunities/", deal)).status == 201
    for region, count in (("north", 1), ("south", 0)):
        answer = await admin.get(f"/api/v1/opportunities/?contact__custom_fields__region={region}")
        assert (answer.status, answer.body["count"]) == (200, count)


async def test_searchable_fields_are_words_of_the_record(rest: Rest) -> None:
    admin = await rest.user()
    field = await defined(admin, "nick", is_searchable=True)
    await _work(rest)
    lead = await made(admin, phone="1", custom_fields={"nick": "Zaphod B."})
    assert await _found(admin, "search=zaph") == ["1"]
    of, one = f"/api/v1/leads/{lead['id']}/", f"{FIELDS}{field['id']}/"
    assert (await admin.patch(of, {"custom_fields": {"nick": "Trillian"}})).status == 200
    assert (await _found(admin, "search=zaph"), await _found(admin, "search=trill")) == ([], ["1"])
    for searchable in (False, True):
        assert (await admin.patch(one, {"is_searchable": searchable})).status == 200
        await _work(rest)
        assert await _found(admin, "search=trillian") == ["1"] * searchable
    hidden = await admin.patch(one, {"visible_to_roles": ["manager"]})
    assert (hidden.status, list(hidden.body)) == (400, ["is_searchable"])
    assert (await admin.patch(one, {"is_active": False})).status == 200
    await _work(rest)
    assert await _found(admin, "search=trillian") == []
