"""Faults: whatever dies or is cut off, the log has every number in order, and a repeat is told by its number."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import client as kafka_client
from asyncpg.exceptions import PostgresError

from engines.child import spawn
from models import database as databases
from settings import Settings
from streams import kafka, log, relay
from streams.log import RELAY_LOCK
from tests.streams.crashing import STEPS
from tests.streams.proxy import Proxy
from tests.streams.relaying import add, agrees, all_sent, relaying, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """The test's database, its log made."""
    async with databases.pool(settings.database_url, size=4) as made:
        await log.ensure(settings, made)
        yield made


async def leader(pool: asyncpg.Pool) -> int | None:
    """Process id of the Postgres session that holds the relay's lock."""
    pid: int | None = await pool.fetchval(
        """SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = database
           WHERE locktype = 'advisory' AND objid = $1 AND granted AND datname = current_database()""",
        RELAY_LOCK,
    )
    return pid


async def test_killed_at_every_step(settings: Settings, pool: asyncpg.Pool, tmp_path: Path, soak: bool) -> None:
    chance = random.Random(None if soak else 7)
    for step in STEPS * (10 if soak else 1):
        await add(pool, [f"lead:{chance.randrange(1000)}" for _ in range(60)])
        process = await spawn(
            [sys.executable, "-m", "tests.streams.crashing", step, str(chance.randrange(3))],
            log=tmp_path / "relay.log",
            environ={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HUB_DATABASE_URL": settings.database_url,
                "HUB_KAFKA": settings.kafka,
                "HUB_KAFKA_PREFIX": settings.kafka_prefix,
                "HUB_TAIL_FETCH_WAIT": str(settings.tail_fetch_wait),
            },
        )
        async with asyncio.timeout(60):
            while process.returncode is None:  # a step that is repeated needs something to do
                await add(pool, [f"lead:{chance.randrange(1000)}" for _ in range(20)])
                await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=0.3)
        assert process.returncode == -signal.SIGKILL, (tmp_path / "relay.log").read_text()
    async with relaying(settings):
        await all_sent(pool)
    await agrees(settings, pool)


@pytest.mark.one_broker
async def test_another_takes_over_when_the_leader_loses_postgres(settings: Settings, pool: asyncpg.Pool) -> None:
    async with relaying(settings), relaying(settings):
        for _ in range(3):
            await until(lambda: leader(pool))
            await add(pool, [f"lead:{i}" for i in range(100)])
            first = await leader(pool)
            await pool.execute("SELECT pg_terminate_backend($1)", first)

            async def changed(first: int | None = first) -> bool:
                return await leader(pool) not in (None, first)

            await until(changed)
        await add(pool, [f"lead:{i}" for i in range(100)])
        await all_sent(pool)
    await agrees(settings, pool)


@pytest.mark.one_broker
async def test_one_leads_of_several(settings: Settings, pool: asyncpg.Pool) -> None:
    async with relaying(settings), relaying(settings), relaying(settings):
        for batch in range(10):
            await add(pool, [f"lead:{batch}-{i}" for i in range(20)])
        await all_sent(pool)
    assert await agrees(settings, pool) == 0


@pytest.mark.one_broker
async def test_a_stopped_relay_leaves_nothing_to_repeat(settings: Settings, pool: asyncpg.Pool) -> None:
    for _ in range(3):
        await add(pool, [f"lead:{i}" for i in range(100)])
        async with relaying(settings):
            await all_sent(pool)
    assert await agrees(settings, pool) == 0


async def test_the_network_to_kafka_is_cut(
    settings: Settings, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, soak: bool
) -> None:
    """Connections are cut at random, sometimes when requests went through and their answers did not."""
    chance = random.Random(None if soak else 3)
    monkeypatch.setattr(kafka, "REQUEST_TIMEOUT", 1_500)
    straight = vars(kafka_client)["create_conn"]
    async with Proxy(settings.kafka) as proxy, relaying(settings):
        with monkeypatch.context() as patch:
            patch.setattr(kafka_client, "create_conn", lambda host, port, **rest: proxy.connect(straight, port, **rest))
            await add(pool, ["lead:1"])
            await all_sent(pool)
            for _ in range(40 if soak else 4):
                await add(pool, [f"lead:{chance.randrange(1000)}" for _ in range(200)])
                proxy.answers = False
                await proxy.asked_something()
                await add(pool, [f"lead:{chance.randrange(1000)}" for _ in range(200)])
                proxy.cut()
                proxy.answers = True
            await all_sent(pool)
    assert await agrees(settings, pool) > 0
    assert proxy.cuts > 0


@pytest.mark.one_broker
async def test_postgres_away_and_back(settings: Settings, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "BACKOFF", (0.05, 0.1))
    async with relaying(settings):
        for _ in range(3):
            await until(lambda: leader(pool))
            await add(pool, [f"lead:{i}" for i in range(50)])
            for _ in range(5):
                try:
                    await pool.execute(
                        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                           WHERE datname = current_database() AND pid <> pg_backend_pid()"""
                    )
                except PostgresError:
                    continue  # another connection of the pool had been ended
        await all_sent(pool)
    await agrees(settings, pool)
