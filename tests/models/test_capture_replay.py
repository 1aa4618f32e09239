"""Invariant 1 as a property: replaying the events from empty gives every captured table exactly."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import HealthCheck, given, settings

from models.capture import CAPTURED
from tests.examples import examples
from tests.models.conftest import Store
from tests.models.programs import Transaction, execute, programs
from tests.models.replaying import replay, stored

# The history goes on from example to example, of which each begins by emptying the tables.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


#: Rows for concurrent writers to meet on.
SOME = Transaction(
    raw=True,
    steps=(("insert_users", 5, 3), ("insert_leads", 4, 1), ("upsert_contacts", 1, 1), ("insert_below", 1, 1)),
    commit=True,
    inner=0,
    keep_inner=True,
)


async def check(store: Store) -> None:
    """Compare what the events say with what there is, and look for secrets."""
    async with store.pool.acquire() as connection:
        assert replay(await store.events()) == await stored(connection)
        leaked = await connection.fetchval(
            "SELECT count(*) FROM events WHERE data::text ~ 'secret-|totp' OR data::text LIKE '%\"password\"%'"
        )
    assert leaked == 0


async def empty(store: Store) -> None:
    for captured in CAPTURED:
        await store.pool.execute(f"DELETE FROM {captured.table}")


@settings(max_examples=examples(60), deadline=None, suppress_health_check=SHARED)
@given(program=programs)
async def test_events_replay_to_the_tables(store: Store, program: list[Transaction]) -> None:
    await empty(store)
    for transaction in program:
        before = await store.last()
        committed = await execute(store.pool, transaction)
        assert committed or not await store.events(after=before), "a rollback left events"
    await check(store)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=SHARED)
@given(program=programs)
async def test_events_of_concurrent_writers_replay_to_the_tables(store: Store, program: list[Transaction]) -> None:
    await empty(store)
    await execute(store.pool, SOME)
    await asyncio.gather(*(execute(store.pool, transaction) for transaction in program * 2))
    await check(store)


async def test_the_programs_do_what_they_are_for(store: Store) -> None:
    """Without this, a typo in the steps would make the properties true of nothing."""
    outcomes: Counter[bool] = Counter()
    for name in ("insert_users", "insert_leads", "upsert_contacts", "insert_below", "two_in_one", "move_keys", "copy"):
        step = Transaction(raw=True, steps=((name, 5, 3),), commit=True, inner=0, keep_inner=True)
        outcomes[await execute(store.pool, step)] += 1
    for name in ("orm_create", "orm_save", "orm_update", "orm_bulk", "orm_delete", "merge", "shift_keys"):
        step = Transaction(raw=False, steps=((name, 5, 3),), commit=True, inner=0, keep_inner=True)
        outcomes[await execute(store.pool, step)] += 1
    assert outcomes[True] >= 12
    types = {event["type"] for event in await store.events()}
    assert {"lead.created", "lead.updated", "lead.deleted", "contact.created", "opportunity.deleted"} <= types
    await check(store)
