"""Kafka clients, all made here from Settings, so that every process agrees on what acknowledged means.

Nothing relies on the broker for exactness (the embedded one has no idempotent producer): our own numbers do that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import ConnectionGroup
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest

from settings import Settings

#: How long a request may take before it counts as failed, in milliseconds.
REQUEST_TIMEOUT = 10_000
#: Seconds a producer that stops still waits for acknowledgements.
FAREWELL = 1.0
#: Largest record or batch of records we send, in bytes; topics allow a little more (`log.MESSAGE_BYTES`).
LARGEST_BATCH = 1_000_000


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose acknowledgement means that every in-sync replica has the record. Raises KafkaError."""
    made = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        acks="all",
        request_timeout_ms=REQUEST_TIMEOUT,
        max_batch_size=LARGEST_BATCH,
        max_request_size=LARGEST_BATCH,
    )
    try:
        await _start(made)
        yield made
    finally:
        await _stop(made)


async def _start(client: Any) -> None:
    """Start a client, to the end even when cancelled: the caller stops it then.

    Cancelled while it connects, aiokafka leaves a connection and a task that nobody can end: the loop never closes.
    """
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        if not starting.cancelled():
            starting.exception()
        raise


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer. What a broker that is away has not taken by then fails at its next try.

    aiokafka by itself would go on trying until REQUEST_TIMEOUT.
    """
    try:
        async with asyncio.timeout(FAREWELL):
            await producer.flush()
    except TimeoutError:
        accumulator = producer._message_accumulator
        for batch in [*accumulator._pending_batches, *chain.from_iterable(accumulator._batches.values())]:
            batch._ttl = 0.0
    await producer.stop()


class Consumer(AIOKafkaConsumer):
    """A consumer that is told the truth about ends.

    Asked where a partition ends, the embedded broker answers with the first offset of its last batch, plus one: right
    only while every batch holds one record. The answer to a fetch does say the end, so one is sent there. (Nor does
    that broker refuse a position beyond the end: whoever keeps positions has to compare.)
    """

    def __init__(self, **options: Any) -> None:
        AIOKafkaConsumer.__init__(self, **options)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the next record of each partition. Raises KafkaError."""
        ends: dict[TopicPartition, int] = await AIOKafkaConsumer.end_offsets(self, partitions)
        asked: dict[int, dict[str, list[tuple[int, int, int]]]] = {}
        for place, end in ends.items():
            if end > 0:
                leader = self._client.cluster.leader_for_partition(place)
                asked.setdefault(leader, {}).setdefault(place.topic, []).append((place.partition, end, 1))
        for leader, topics in asked.items():
            # The embedded broker leaves partitions out of an answer it may not wait for.
            request = FetchRequest(
                max_wait_time=1, min_bytes=1, max_bytes=1, isolation_level=0, topics=list(topics.items())
            )
            answer: Any = await self._client.send(leader, request)
            for topic, its in answer.topics:
                for partition, error, end, *_ in its:
                    if error:
                        raise for_code(error)
                    place = TopicPartition(topic, partition)
                    ends[place] = max(ends[place], end)
        return ends


@asynccontextmanager
async def consumer(settings: Settings, *, fetch_wait: int) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, to be assigned and sought by the caller; an offset out of range raises.

    `fetch_wait` is the longest the broker may hold a fetch, in milliseconds. Raises KafkaError.
    """
    made: AIOKafkaConsumer = Consumer(
        bootstrap_servers=settings.kafka,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=REQUEST_TIMEOUT,
        fetch_max_wait_ms=fetch_wait,
    )
    try:
        await _start(made)
        yield made
    finally:
        await made.stop()


#: Milliseconds after which a member of a group that is not heard loses its partitions, and between its signs of life.
SESSION_TIMEOUT, HEARTBEAT = 6_000, 1_000

#: Seconds a member that stops still waits for its group.
LEAVE = 0.3

#: Milliseconds the broker may hold a fetch of a group's member; the embedded one does even if there is something.
MEMBER_FETCH_WAIT = 500


@asynccontextmanager
async def member(settings: Settings, group: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of a consumer group that shares a topic, both named without prefix; the caller commits.

    A group without a position begins with the oldest record. It takes the member in after some seconds; until then
    there is nothing to get. Raises KafkaError.
    """
    made: AIOKafkaConsumer = Consumer(
        bootstrap_servers=settings.kafka,
        group_id=settings.kafka_prefix + group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT,
        heartbeat_interval_ms=HEARTBEAT,
        request_timeout_ms=REQUEST_TIMEOUT,
        fetch_max_wait_ms=MEMBER_FETCH_WAIT,
    )
    try:
        await _start(made)
        made.subscribe([settings.kafka_prefix + topic])
        yield made
    finally:
        await _leave(made)


async def _leave(member: AIOKafkaConsumer) -> None:
    """Stop a member. aiokafka waits for a join under way, which a broker may hold for seconds: it is cut off."""
    stopping = asyncio.ensure_future(member.stop())
    patience = LEAVE if member.assignment() else 0.0
    while not (await asyncio.wait({stopping}, timeout=patience))[0]:
        for (_, group), connection in list(member._client._conns.items()):
            if group == ConnectionGroup.COORDINATION:
                connection.close()
        patience = LEAVE
    await stopping


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for topics. Raises KafkaError."""
    made = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=REQUEST_TIMEOUT)
    try:
        await _start(made)
        yield made
    finally:
        await made.close()
