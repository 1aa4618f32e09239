"""Kafka clients, all made here from Settings, so that every process agrees on what acknowledged means.

Nothing relies on the broker for exactness (the embedded one has no idempotent producer): our own numbers do that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from settings import Settings

#: How long a request may take before it counts as failed, in milliseconds.
REQUEST_TIMEOUT = 10_000
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
        await made.start()
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def consumer(settings: Settings, *, fetch_wait: int) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, to be assigned and sought by the caller; an offset out of range raises.

    `fetch_wait` is the longest the broker may hold a fetch, in milliseconds. Raises KafkaError.
    """
    made = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=REQUEST_TIMEOUT,
        fetch_max_wait_ms=fetch_wait,
    )
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for topics. Raises KafkaError."""
    made = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=REQUEST_TIMEOUT)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
