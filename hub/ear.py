"""The ear of a node: hears what stands on `hub.control`, from the moment the node starts.

There is no consumer group: every node hears everything. What is missed shows in the numbers of the nodes that said it,
and they are asked; so Kafka may be away, and records may be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from prometheus_client import Counter

from actors.presence import Said
from hub import control_records as records
from hub.control_records import ControlError, Heard

log = structlog.get_logger()

#: Seconds a poll waits; it returns as soon as there is anything.
POLL = 1.0

#: Records heard before others on the loop get a turn.
TURN = 200

#: Types of records that mean nothing to nodes, and are named in the log once.
UNKNOWN = 100

HEARD = Counter("hub_control_heard_total", "Records of hub.control that nodes said", ["type"])

Consumed = ConsumerRecord[bytes | None, bytes | None]

#: Takes a record and what it says of its node's presence.
Hear = Callable[[Heard, Said], Awaitable[None]]


class Ear:
    """Reads these partitions of a consumer that others may poll too."""

    def __init__(self, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition], hear: Hear) -> None:
        self._consumer = consumer
        self._places = places
        self._hear = hear
        self._unknown: set[str] = set()
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Hear until cancelled."""
        while True:
            try:
                found = await self._poll()
            except KafkaError as error:
                log.warning("control_interrupted", error=repr(error))
                await asyncio.sleep(POLL)
                continue
            for its in found.values():
                for record in its:
                    await self.take(record)
            self._moved.set()
            self._moved.clear()

    async def moved(self) -> None:
        """Wait until something more was heard."""
        await self._moved.wait()

    async def take(self, record: Consumed) -> None:
        """Pass on what a node said."""
        try:
            heard = records.decode(record)
            said = None if heard is None else records.said(heard)
        except ControlError as error:
            log.warning("control_record_unreadable", offset=record.offset, error=str(error))
            return
        if heard is None or heard.type not in records.TYPES:
            self._ignore((dict(record.headers).get("ce_type") or b"").decode(errors="replace"))
        if heard is not None and said is not None:
            HEARD.labels(heard.type if heard.type in records.TYPES else "other").inc()
            await self._hear(heard, said)

    def _ignore(self, type: str) -> None:
        if type not in self._unknown and len(self._unknown) < UNKNOWN:
            self._unknown.add(type)
            log.info("control_record_ignored", type=type)

    async def _poll(self) -> dict[TopicPartition, list[Consumed]]:
        """What there is now, or comes soon. Raises KafkaError."""
        try:
            found: dict[TopicPartition, list[Consumed]] = await self._consumer.getmany(
                *self._places, timeout_ms=round(POLL * 1000), max_records=TURN
            )
            return found
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            log.warning("control_goes_on_at_the_end", error=repr(error))
            for place, end in (await self._consumer.end_offsets(self._places)).items():
                self._consumer.seek(place, end)
            return {}
