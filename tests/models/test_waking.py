"""Waking the relay."""

from __future__ import annotations

import asyncio

import asyncpg

from models import database as databases
from models.database import Context
from models.events import WAKE_CHANNEL
from models.leads import Lead
from models.waking import Waker
from tests.models.conftest import Store


async def listen(store: Store) -> tuple[asyncpg.Connection, asyncio.Event]:
    """A connection that listens, and the event it sets."""
    woken = asyncio.Event()
    connection = await asyncpg.connect(store.url)
    await connection.add_listener(WAKE_CHANNEL, lambda *_: woken.set())
    return connection, woken


async def test_a_commit_wakes_and_a_rollback_does_not(store: Store) -> None:
    listener, woken = await listen(store)
    async with Waker(store.pool) as waker:
        async with databases.change(store.pool, Context(), waker=waker) as connection:
            await connection.execute("SELECT 1")
            assert not waker._dirty.is_set()
        async with asyncio.timeout(10):
            await woken.wait()
    await listener.close()


async def test_the_orm_wakes_when_the_outermost_transaction_commits(store: Store) -> None:
    listener, woken = await listen(store)
    async with Waker(store.pool) as waker, databases.orm(store.url, size=2, waker=waker):
        async with databases.transaction(Context()):
            async with databases.transaction(Context()):
                await Lead.create(first_name="a", last_name="b", email="c")
            assert not waker._dirty.is_set()
        async with asyncio.timeout(10):
            await woken.wait()
    await listener.close()


async def test_a_statement_of_its_own_wakes_if_it_changes(store: Store) -> None:
    insert = f"INSERT INTO crm_leads (first_name, last_name, email) VALUES ($1, $1, $1) RETURNING {databases.UNDER}"
    values = ["a", Context(actor=5).json()]
    async with Waker(store.pool) as waker, databases.orm(store.url, size=2, waker=waker):
        await databases.execute("SELECT 1", [])
        async with databases.transaction(Context(actor=6)):
            await databases.execute(insert.format(2), values, changes=True)
            assert not waker._dirty.is_set()
        listener, woken = await listen(store)
        await databases.execute(insert.format(2), values, changes=True)
        async with asyncio.timeout(10):
            await woken.wait()
    await listener.close()
    assert [event["context"]["actor"] for event in await store.events()] == [5, 5]
    assert await store.pool.fetchval("SELECT current_setting('hub.context', true)") in (None, "")


async def test_many_commits_are_few_notifications(store: Store) -> None:
    heard: list[object] = []
    first, last = asyncio.Event(), asyncio.Event()
    listener = await asyncpg.connect(store.url)

    def hear(*arguments: object) -> None:
        heard.append(arguments)
        first.set()

    await listener.add_listener(WAKE_CHANNEL, hear)
    await listener.add_listener("last", lambda *_: last.set())
    async with Waker(store.pool) as waker, asyncio.timeout(10):
        for _ in range(500):
            waker.wake()
        await first.wait()
        await store.pool.execute("NOTIFY last")
        await last.wait()
    assert len(heard) <= 2
    await listener.close()


async def test_postgres_away_is_survived(store: Store) -> None:
    listener, woken = await listen(store)
    async with Waker(store.pool) as waker:
        waker.wake()
        async with asyncio.timeout(10):
            await woken.wait()
        await listener.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        woken.clear()
        async with asyncio.timeout(10):
            # The wake that meets the broken connection is lost, as the poll of the relay allows for.
            while not woken.is_set():
                waker.wake()
                await asyncio.sleep(0.01)
    await listener.close()
