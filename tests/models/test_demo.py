"""Demo data."""

from __future__ import annotations

import asyncio

from models import demo, passwords
from models.access import Role
from tests.models.conftest import Store
from tests.models.replaying import replay, stored


async def test_an_empty_database_gets_one_demo(store: Store) -> None:
    made = await asyncio.gather(demo.make(store.pool), demo.make(store.pool))
    sign_ins, nothing = sorted(made, reverse=True)
    assert nothing == []
    assert {role for _, _, role in sign_ins} == set(Role)
    for username, password, role in sign_ins[:1]:
        row = await store.pool.fetchrow("SELECT password, role FROM crm_users WHERE username = $1", username)
        assert row["role"] == role
        assert await passwords.verify(row["password"], password)

    events = await store.events()
    assert {event["context"]["source"] for event in events} == {"demo"}
    moves = [e for e in events if e["type"] == "opportunity.updated"]
    assert len(moves) > 400
    assert all(move["data"]["before"]["stage"] != move["data"]["after"]["stage"] for move in moves)
    async with store.pool.acquire() as connection:
        assert replay(events) == await stored(connection)
    assert await store.pool.fetchval("SELECT max(created_at) - min(created_at) > '600 days' FROM crm_leads")
    assert await store.pool.fetchval("SELECT count(*) FROM crm_leads WHERE updated_at > now()") == 0


async def test_the_same_seed_tells_the_same_story(store: Store) -> None:
    await demo.make(store.pool, seed=3)
    first = await store.pool.fetch("SELECT first_name, last_name, email, status, lead_score FROM crm_leads ORDER BY id")
    await store.pool.execute("DELETE FROM crm_leads; DELETE FROM crm_contacts; DELETE FROM crm_users")
    await demo.make(store.pool, seed=3)
    select = "SELECT first_name, last_name, email, status, lead_score FROM crm_leads ORDER BY id"
    assert await store.pool.fetch(select) == first
