"""The clients: what the embedded broker says wrongly is put right."""

from __future__ import annotations

from aiokafka import TopicPartition

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
