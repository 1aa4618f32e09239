"""The order of the log: each row's changes one after another, whatever ran at the same time."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import asyncpg
import orjson
import pytest

from models import database as databases
from models.database import Context, change
from settings import Settings
from streams import log, term
from streams.floor import Floor
from tests.streams.relaying import add, agrees, all_sent, entries, relaying, taken_once, until

INSERT = "INSERT INTO crm_leads (id, first_name, last_name, email) VALUES ($1, '0', 'Lead', 'lead@example.com')"
TOUCH = "UPDATE crm_leads SET first_name = (first_name::int + 1)::text WHERE id = $1"


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """The test's database, its log made."""
    async with databases.pool(settings.database_url, size=12) as made:
        await log.ensure(settings, made)
        yield made


async def changes(settings: Settings) -> dict[str, list[tuple[Any, Any]]]:
    """(before, after) of every row's changes, in the order of the log, by key; repeats are skipped."""
    found = defaultdict(list)
    for its in taken_once(await entries(settings)).values():
        for entry in its:
            data = orjson.loads(entry.record.value or b"")["data"]
            found[(entry.record.key or b"").decode()].append((data["before"], data["after"]))
    return found


async def test_a_later_writer_with_an_earlier_transaction_id(settings: Settings, pool: asyncpg.Pool) -> None:
    """T2 writes elsewhere, T3 writes and stays open, T1 changes row 1 and commits, T2 changes row 1 and commits."""
    async with change(pool, Context(source="test")) as connection:
        for row in (1, 2, 3):
            await connection.execute(INSERT, row)
    async with relaying(settings):
        await all_sent(pool)
        async with change(pool, Context(source="test")) as third:
            async with change(pool, Context(source="test")) as second:
                await second.execute(TOUCH, 2)
                await third.execute(TOUCH, 3)
                async with change(pool, Context(source="test")) as first:
                    await first.execute(TOUCH, 1)
                await second.execute(TOUCH, 1)

            async def both_sent() -> bool:
                return len((await changes(settings))["lead:1"]) == 3

            # T3, still open, holds up nobody.
            await until(both_sent)
            assert len((await changes(settings))["lead:3"]) == 1
        await all_sent(pool)
    found = await changes(settings)
    assert [after["first_name"] for _, after in found["lead:1"]] == ["0", "1", "2"]
    assert [len(found[f"lead:{row}"]) for row in (1, 2, 3)] == [3, 2, 2]
    assert await agrees(settings, pool) == 0


@pytest.mark.one_broker
@pytest.mark.parametrize("seed", range(2))
async def test_random_transactions_keep_each_row_in_order(
    settings: Settings, pool: asyncpg.Pool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term, "FLOOR", 0.0)
    async with change(pool, Context(source="test")) as connection:
        for row in range(1, 9):
            await connection.execute(INSERT, row)
    chance = random.Random(seed)
    async with relaying(settings):
        await asyncio.gather(*(transactions(pool, random.Random(chance.random())) for _ in range(8)))
        await all_sent(pool)
    assert await agrees(settings, pool) == 0
    found = await changes(settings)
    rows = await pool.fetch("SELECT id, first_name FROM crm_leads")
    now = {f"lead:{row['id']}": row["first_name"] for row in rows}
    for key, its in found.items():
        for (_, after), (before, _) in pairwise(its):
            assert before == after
        last = its[-1][1]
        assert (None if last is None else last["first_name"]) == now.get(key)
    assert sum(map(len, found.values())) > 100


async def transactions(pool: asyncpg.Pool, chance: random.Random) -> None:
    """Twenty random transactions over the eight leads: some rolled back, some with savepoints, some left open."""
    for _ in range(20):
        rows = sorted(chance.sample(range(1, 9), chance.randint(1, 3)))
        try:
            async with change(pool, Context(source="test")) as connection:
                for row in rows:
                    await step(connection, chance, row)
                    await asyncio.sleep(chance.choice([0, 0, 0.002]))
                if chance.random() < 0.15:
                    raise Undone
        except (Undone, asyncpg.exceptions.DeadlockDetectedError, asyncpg.exceptions.UniqueViolationError):
            continue


class Undone(Exception):
    """Thrown to roll a transaction or a savepoint back."""


async def step(connection: asyncpg.Connection, chance: random.Random, row: int) -> None:
    what = chance.choice(["touch", "touch", "touch", "twice", "delete", "replace", "savepoint"])
    if what in ("touch", "twice"):
        await connection.execute(TOUCH, row)
    if what == "twice":
        await connection.execute(TOUCH, row)
    if what in ("delete", "replace"):
        await connection.execute("DELETE FROM crm_leads WHERE id = $1", row)
    if what == "replace" or (what == "touch" and chance.random() < 0.3):
        await connection.execute(INSERT + " ON CONFLICT DO NOTHING", row)
    if what == "savepoint":
        await connection.execute(TOUCH, row)
        try:
            async with connection.transaction():
                await connection.execute(TOUCH, row)
                await connection.execute("DELETE FROM crm_leads WHERE id = $1", row % 8 + 1)
                raise Undone
        except Undone:
            await connection.execute(TOUCH, row)


@pytest.mark.one_broker
async def test_deleting_a_user_who_has_a_lead_twice(settings: Settings, pool: asyncpg.Pool) -> None:
    async with change(pool, Context(source="test")) as connection:
        user = await connection.fetchval("INSERT INTO crm_users (username, email) VALUES ('a', 'a@b.c') RETURNING id")
        await connection.execute(INSERT, 1)
        await connection.execute("UPDATE crm_leads SET owner_id = $1, assigned_to_id = $1", user)
        await connection.execute("DELETE FROM crm_users WHERE id = $1", user)
    async with relaying(settings):
        await all_sent(pool)
    its = (await changes(settings))["lead:1"]
    for (_, after), (before, _) in pairwise(its):
        assert before == after
    ends = [(after["owner_id"], after["assigned_to_id"]) for _, after in its]
    assert ends[:2] == [(None, None), (user, user)]
    assert ends[-1] == (None, None)
    assert len(its) == 4


@pytest.mark.one_broker
async def test_what_was_drawn_early_and_committed_late_is_not_lost(settings: Settings, pool: asyncpg.Pool) -> None:
    async with pool.acquire() as reader, pool.acquire() as early, relaying(settings):
        await add(pool, ["lead:1"])
        async with reader.transaction(isolation="repeatable_read"), early.transaction():
            await reader.fetchval("SELECT count(*) FROM events")  # a long snapshot, as of a dump
            await early.execute(
                """INSERT INTO events (topic, key, type, subject, data)
                   VALUES ('crm.changes', 'lead:2', 't', 's', '{}')"""
            )
            for _ in range(5):
                await add(pool, [f"lead:{i}" for i in range(50)])
        await all_sent(pool)
        assert await agrees(settings, pool) == 0


@pytest.mark.one_broker
async def test_the_floor_waits_for_writers_and_not_for_readers(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as mine, pool.acquire() as reader, pool.acquire() as writer:
        floor = Floor(mine)
        async with reader.transaction(isolation="repeatable_read"):
            await reader.fetchval("SELECT count(*) FROM events")
            await add(pool, ["lead:1", "lead:2"])
            async with writer.transaction():
                await writer.execute("DELETE FROM events WHERE false")
                for _ in range(3):
                    await floor.look()
                    floor.taken(until=None)
                assert floor.value == 0
            await floor.look()
            assert floor.value == 0
            # Not all of what was seen was taken: only what was, is below.
            floor.taken(until=1)
            assert floor.value == 1
            floor.taken(until=None)
            assert floor.value == 2
