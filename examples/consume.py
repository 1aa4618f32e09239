"""Read our topics from another system, in plain aiokafka: `python examples/consume.py [--kafka HOST:PORT]`.

Records are CloudEvents 1.0 in structured JSON. `sequence` counts from 1 within a partition and a record may come
twice, so remember the highest sequence of each partition and skip what is not above it.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from aiokafka import AIOKafkaConsumer


async def consume(kafka: str, topic: str, group: str) -> None:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    seen: dict[int, int] = {}
    async with consumer:
        async for record in consumer:
            event = json.loads(record.value)
            sequence = int(event["sequence"])
            if sequence <= seen.get(record.partition, 0):
                continue
            seen[record.partition] = sequence
            print(f"{event['time']} {event['type']} {event['subject']} by {event.get('actor', 'nobody')}", flush=True)
            await consumer.commit()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Print the events of one topic.")
    options.add_argument("--kafka", default="127.0.0.1:9092")
    options.add_argument("--topic", default="crm.changes")
    options.add_argument("--group", default="example")
    given = options.parse_args()
    try:
        asyncio.run(consume(given.kafka, given.topic, given.group))
    except KeyboardInterrupt:
        pass
