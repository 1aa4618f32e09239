"""Statements made once: their rows are those of the ORM, and a change is all or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from tortoise.exceptions import IntegrityError

from models import database as databases
from models import demo
from models.database import Context
from models.leads import Lead, LeadStatus
from models.resources.catalogue import RESOURCES
from models.resources.contacts import CONTACTS
from models.resources.leads import LEADS
from models.resources.resource import Resource
from models.resources.selection import Selection

LEAD: dict[str, Any] = {"first_name": "a", "last_name": "b", "email": "c"}


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with databases.pool(database, size=2) as made, databases.orm(database, size=2):
        yield made


async def test_rows_are_those_of_the_orm(pool: asyncpg.Pool) -> None:
    await demo.make(pool)
    for resource in RESOURCES.values():
        await _agree(resource, resource.detailed, resource.paths(listed=False))
        await _agree(resource, resource.listed, resource.paths(listed=True))
        await _agree(resource, resource.access, list(resource.access_paths()))


async def _agree(resource: Resource, selection: Selection, paths: list[str]) -> None:
    kept = resource.model.filter(assigned_to_id__lte=4)
    wanted = await kept.order_by("-created_at", "id").offset(3).limit(40).values(*paths)
    where, values = "assigned_to_id <= $1", [4]
    ordered = "ORDER BY created_at DESC, id LIMIT 40 OFFSET 3"
    ids = f"SELECT id, created_at AS at, id AS key FROM {resource.table} WHERE {where} {ordered}"
    rows = await selection.found(ids, values, ["at", "key"], "at DESC, key")
    for row in rows:
        del row["at"], row["key"]
    assert [(row, list(map(type, row.values()))) for row in rows] == [
        (row, list(map(type, row.values()))) for row in wanted
    ]
    assert len(rows) == 40
    assert await selection.count(where, values) == await kept.count()
    assert await selection.one(wanted[0]["id"]) == wanted[0]
    assert await selection.one(2**63 - 1) is None


async def test_a_change_gives_what_then_stands_there(pool: asyncpg.Pool) -> None:
    values = {**LEAD, "custom_fields": {"a": [1, None]}, "tags": ["x"], "status": LeadStatus.LOST}
    made = await LEADS.detailed.inserted(values, Context(actor=1))
    assert made is not None
    assert made == await LEADS.detailed.one(made["id"])
    assert {name: made[name] for name in values} == values
    nobody = {"owner_id": None, "assigned_to_id": None}
    changed = await LEADS.detailed.updated(made["id"], {"tags": []}, nobody, Context(actor=2))
    assert changed == {**made, "tags": [], "updated_at": changed and changed["updated_at"]}
    assert changed == await LEADS.detailed.one(made["id"])
    actors = await pool.fetch("SELECT context ->> 'actor' AS actor FROM events ORDER BY id")
    assert [row["actor"] for row in actors] == ["1", "2"]


async def test_what_is_not_as_known_is_not_changed(pool: asyncpg.Pool) -> None:
    made = await LEADS.access.inserted(LEAD, Context())
    assert made is not None
    for known in ({"owner_id": 1}, {"owner_id": None, "first_name": "z"}):
        assert await LEADS.access.updated(made["id"], {"phone": "1"}, known, Context()) is None
    assert await LEADS.access.updated(made["id"] + 1, {"phone": "1"}, {}, Context()) is None
    assert await pool.fetchval("SELECT phone FROM crm_leads") == ""
    assert await pool.fetchval("SELECT count(*) FROM events") == 1


async def test_a_refused_change_leaves_nothing(pool: asyncpg.Pool) -> None:
    await CONTACTS.access.inserted(LEAD, Context())
    with pytest.raises(IntegrityError):
        await CONTACTS.access.inserted(LEAD, Context())
    with pytest.raises(RuntimeError):
        await _undone()
    assert await pool.fetchval("SELECT count(*) FROM events") == 1


async def _undone() -> None:
    async with databases.transaction(Context()):
        await LEADS.access.inserted(LEAD, Context())
        assert await Lead.all().count() == 1
        raise RuntimeError
