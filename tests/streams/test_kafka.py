"""The clients: what the embedded broker says wrongly is put right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from engines.broker import Broker
from settings import Settings
from streams import kafka, layout


async def test_the_end_of_a_partition_counts_every_record_of_a_batch(settings: Settings) -> None:
    topic = settings.kafka_prefix + "batches"
    places = [TopicPartition(topic, partition) for partition in range(8)]
    async with (
        kafka.admin(settings) as admin,
        kafka.producer(settings) as producer,
        kafka.consumer(settings, fetch_wait=5) as consumer,
    ):
        await layout.make(admin, settings, ["batches"])
        assert set((await consumer.end_offsets(places)).values()) == {0}
        for place in places:
            for _ in range(2):
                batch = producer.create_batch()
                for _ in range(place.partition):
                    batch.append(key=b"", value=b"x" * 1000, timestamp=None)
                if place.partition:
                    await (await producer.send_batch(batch, topic, partition=place.partition))
        ends = await consumer.end_offsets(places)
        assert ends == {place: 2 * place.partition for place in places}


async def test_a_producer_that_stops_does_not_wait_for_a_broker_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "REQUEST_TIMEOUT", 3_600_000)
    broker = Broker(tmp_path / "broker.log")
    process = await broker.start()
    settings = Settings(kafka=broker.address)
    async with asyncio.timeout(60):
        async with kafka.admin(settings) as admin:
            await layout.make(admin, settings, ["gone"])
        async with kafka.producer(settings) as producer:
            await producer.send_and_wait("gone", b"1", partition=0)
            process.kill()
            await process.wait()
            waiting = await producer.send("gone", b"2", partition=0)
        with pytest.raises(KafkaError):
            await waiting


async def test_a_member_of_a_group_leaves_at_any_moment_and_leaves_nothing_behind(settings: Settings) -> None:
    async def take_part(group: str) -> None:
        async with kafka.member(settings, group, "shared") as member:
            while True:
                await member.getmany(timeout_ms=1_000)

    async with kafka.admin(settings) as admin:
        await layout.make(admin, settings, ["shared"])
        before = asyncio.all_tasks()
        for at, moment in enumerate((0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)):
            taking_part = asyncio.create_task(take_part(f"group{at % 2}"))
            await asyncio.wait({taking_part}, timeout=moment)
            taking_part.cancel()
            async with asyncio.timeout(10):
                await asyncio.wait({taking_part})
            await asyncio.sleep(0)
            assert asyncio.all_tasks() <= before


async def test_a_member_gets_what_was_said_before_it_came(settings: Settings) -> None:
    async with kafka.admin(settings) as admin, kafka.producer(settings) as producer:
        await layout.make(admin, settings, ["shared"])
        await producer.send_and_wait(settings.kafka_prefix + "shared", b"1", partition=3)
        async with asyncio.timeout(60), kafka.member(settings, "group", "shared") as member:
            while not (found := await member.getmany(timeout_ms=1_000)):
                pass
            assert [record.value for records in found.values() for record in records] == [b"1"]
