"""Connections and transactions."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from tortoise.transactions import in_transaction

from models import database as databases
from models.database import Context
from models.leads import Lead
from tests.models.conftest import Store

LEAD: dict[str, Any] = {"first_name": "a", "last_name": "b", "email": "c"}


async def test_a_transaction_is_all_or_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError):
        await _fail(Context())
    assert await Lead.all().count() == 0
    assert await store.events() == []


async def test_a_context_ends_with_its_transaction(store: Store) -> None:
    async with databases.transaction(Context(actor=5)):
        await Lead.create(**LEAD)
    await asyncio.gather(*(Lead.create(**LEAD) for _ in range(10)))
    actors = [event["context"].get("actor") for event in await store.events()]
    assert actors == [5] + [None] * 10


async def test_a_savepoint_is_undone_alone(store: Store) -> None:
    async with databases.transaction(Context(actor=1)):
        await Lead.create(**LEAD)
        with pytest.raises(RuntimeError):
            await _fail(Context(actor=2))
        await Lead.create(**LEAD)
    assert [event["context"]["actor"] for event in await store.events()] == [1, 1]


async def test_a_cancelled_transaction_gives_its_connection_back(store: Store) -> None:
    async with databases.orm(store.url, size=1):
        await _write()
        for turns in range(60):
            task = asyncio.create_task(_write())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(10):
            await _write()


async def _fail(context: Context) -> None:
    async with databases.transaction(context):
        await Lead.create(**LEAD)
        raise RuntimeError


async def _write() -> None:
    async with databases.transaction(Context()):
        await Lead.create(**LEAD)


async def test_connections_cut_by_postgres_are_replaced(store: Store) -> None:
    async with databases.orm(store.url, size=2):
        await _write()
        admin = await asyncpg.connect(store.url)
        for _ in range(3):
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            results = await asyncio.gather(*(_write() for _ in range(4)), return_exceptions=True)
            assert all(isinstance(result, Exception | None) for result in results)
        async with asyncio.timeout(10):
            await asyncio.gather(*(_write() for _ in range(4)))
        await admin.close()


async def test_jsonb_comes_as_text(store: Store) -> None:
    assert await store.pool.fetchval("SELECT '{\"a\": 1}'::jsonb") == '{"a": 1}'
    assert await store.pool.fetchval("SHOW application_name") == databases.APPLICATION


async def test_code_that_did_not_inherit_the_context_finds_the_database(store: Store) -> None:
    """A server's handlers may run in tasks made elsewhere."""
    import contextvars

    async with databases.transaction(Context()):
        await Lead.create(**LEAD)
    counting = asyncio.create_task(_count(), context=contextvars.Context())
    assert await counting == 1


async def _count() -> int:
    async with in_transaction("default"):
        return await Lead.all().count()
