"""The log: made once, refused when it is not ours, made anew without losing its numbers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError

from models import database as databases
from settings import Settings
from streams import kafka, layout, log
from streams.log import LogError
from streams.topics import CHANGES, PARTITIONS, TOPICS
from tests.streams.relaying import add, agrees, all_sent, entries, relaying, taken_once


async def test_the_log_is_made_once_however_many_make_it(settings: Settings) -> None:
    async with databases.pool(settings.database_url) as pool, pool.acquire() as connection:
        with pytest.raises(LogError, match="migrate"):
            await log.current(connection)
        made = await asyncio.gather(*(log.ensure(settings, pool) for _ in range(3)))
        assert made == [made[0]] * 3
        assert len(made[0].incarnation) == 8
        assert made[0].partitions == {(t.name, p): (0, 1) for t in TOPICS for p in range(PARTITIONS)}
        assert await log.current(connection) == made[0]
    async with kafka.admin(settings) as admin:
        counts = await layout.partitions(admin, settings, [topic.name for topic in TOPICS])
    assert set(counts.values()) == {PARTITIONS}


async def test_topics_of_another_shape_or_gone_are_refused(settings: Settings) -> None:
    async with databases.pool(settings.database_url) as pool, kafka.admin(settings) as admin:
        await admin.create_topics([NewTopic(settings.kafka_prefix + CHANGES.name, 3, 1)])
        with pytest.raises(LogError, match="3 partitions, not 8"):
            await log.ensure(settings, pool)
        made = await log.new_log(settings, pool)
        await admin.delete_topics([settings.kafka_prefix + CHANGES.name])
        with pytest.raises(LogError, match="no topic crm"):
            await log.ensure(settings, pool)
        with pytest.raises(LogError, match="newlog"):
            await log.verify(settings, made)


async def test_records_of_somebody_else_are_refused(settings: Settings) -> None:
    async with databases.pool(settings.database_url) as pool:
        async with kafka.admin(settings) as admin:
            await layout.make(admin, settings, [topic.name for topic in TOPICS])
        async with kafka.producer(settings) as producer:
            await producer.send_and_wait(settings.kafka_prefix + CHANGES.name, b"{}", partition=3)
        with pytest.raises(LogError, match="knows nothing of"):
            await log.ensure(settings, pool)
        await log.new_log(settings, pool)
        await log.ensure(settings, pool)
        assert await entries(settings) == {}


async def test_a_new_log_goes_on_with_the_numbers(settings: Settings) -> None:
    async with databases.pool(settings.database_url) as pool:
        first = await log.ensure(settings, pool)
        async with relaying(settings):
            await add(pool, [f"lead:{i}" for i in range(100)])
            await all_sent(pool)
            sent = await _sent(pool)
            # While the relay leads: it is put out of office, and takes office again.
            second = await log.new_log(settings, pool)
            await add(pool, [f"lead:{i}" for i in range(100)])
            await all_sent(pool)
        assert second.id == first.id + 1
        assert await log.ensure(settings, pool) == second
        assert second.incarnation != first.incarnation
        found = taken_once(await entries(settings))
        for partition in range(PARTITIONS):
            place = (CHANGES.name, partition)
            assert second.partitions[place] == (0, sent[partition] + 1)
            assert found[place][0].n == sent[partition] + 1
        assert sum(len(its) for its in found.values()) == 100


@pytest.mark.one_broker
async def test_what_was_not_sent_goes_to_the_new_log(settings: Settings) -> None:
    async with databases.pool(settings.database_url) as pool:
        await log.ensure(settings, pool)
        await add(pool, [f"lead:{i}" for i in range(50)])
        async with relaying(settings):
            await all_sent(pool)
        # As if the old relay had died before Kafka acknowledged its last numbers.
        await pool.execute("UPDATE relay_marks SET sent = numbered - 1 WHERE numbered > 0")
        await log.new_log(settings, pool)
        async with relaying(settings):
            await all_sent(pool)
        for (_, partition), its in (await entries(settings)).items():
            last = await pool.fetchval(
                "SELECT numbered FROM relay_marks WHERE (topic, partition) = ($1, $2)", CHANGES.name, partition
            )
            assert [entry.n for entry in its] == [last]


@pytest.mark.one_broker
async def test_kafka_away_is_said_by_its_own_error(settings: Settings) -> None:
    away = replace(settings, kafka="127.0.0.1:1")
    async with databases.pool(settings.database_url) as pool:
        with pytest.raises(KafkaError):
            await log.ensure(away, pool)
        assert await pool.fetchval("SELECT count(*) FROM logs") == 0


async def _sent(pool: asyncpg.Pool) -> dict[int, int]:
    rows = await pool.fetch("SELECT partition, sent FROM relay_marks WHERE topic = $1", CHANGES.name)
    return {row["partition"]: row["sent"] for row in rows}


@pytest.mark.one_broker
async def test_two_prefixes_share_one_kafka(settings: Settings, prefix: str) -> None:
    other = replace(settings, kafka_prefix=prefix + "other.")
    async with databases.pool(settings.database_url) as pool:
        await log.ensure(settings, pool)
        async with kafka.admin(settings) as admin:
            await layout.make(admin, other, [CHANGES.name])
        async with relaying(settings):
            await add(pool, ["lead:1"])
            await all_sent(pool)
        assert await agrees(settings, pool) == 0
        assert await entries(other) == {}
