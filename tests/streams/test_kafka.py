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
