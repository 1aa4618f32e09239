"""What the tests of the relay share: events to send, a relay that runs, and the log as it is afterwards."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
from aiokafka import ConsumerRecord, TopicPartition

from models.events import NewEvent, write
from settings import Settings
from streams import envelope, kafka
from streams.layout import Partition
from streams.records import BINARY
from streams.relay import Relay
from streams.term import Term
from streams.topics import CHANGES, PARTITIONS, PUBLICATIONS


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One numbered record of the log."""

    n: int
    id: int
    record: ConsumerRecord[bytes, bytes]


@asynccontextmanager
async def relaying(settings: Settings, term: type[Term] = Term) -> AsyncIterator[asyncio.Task[None]]:
    """A relay that runs meanwhile; its failure fails the test."""
    task = asyncio.create_task(Relay(settings, term=term).run())
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Awaitable[object]], *, within: float = 30.0) -> None:
    """Wait for something that happens in Postgres, where nothing tells of it."""
    async with asyncio.timeout(within):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.02)


async def all_sent(pool: asyncpg.Pool) -> None:
    """Wait until every event is numbered and acknowledged."""

    async def done() -> bool:
        return bool(
            await pool.fetchval(
                """SELECT NOT EXISTS (SELECT FROM events WHERE n IS NULL)
                          AND NOT EXISTS (SELECT FROM relay_marks WHERE sent < numbered)"""
            )
        )

    await until(done)


async def add(pool: asyncpg.Pool, keys: Iterable[str], *, topic: str = CHANGES.name) -> None:
    """Write one event for each key, in one transaction."""
    kind = envelope.FRAME if topic == PUBLICATIONS.name else "lead.updated"
    async with pool.acquire() as connection, connection.transaction():
        await write(
            connection,
            [NewEvent(topic=topic, key=k, type=kind, subject=k, data={"type": "lead_update", "key": k}) for k in keys],
        )


async def read(settings: Settings, topic: str = CHANGES.name) -> dict[Partition, list[ConsumerRecord[bytes, bytes]]]:
    """Everything a topic holds now, by partition."""
    found: dict[Partition, list[ConsumerRecord[bytes, bytes]]] = defaultdict(list)
    places = [TopicPartition(settings.kafka_prefix + topic, partition) for partition in range(PARTITIONS)]
    async with kafka.consumer(settings, fetch_wait=settings.tail_fetch_wait) as consumer, asyncio.timeout(30):
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                found[topic, place.partition] += [r for r in records if r.offset < ends[place]]
    return found


async def entries(settings: Settings, topic: str = CHANGES.name) -> dict[Partition, list[Entry]]:
    """The numbered records of a topic, as they stand in each partition."""
    found: dict[Partition, list[Entry]] = defaultdict(list)
    for place, records in (await read(settings, topic)).items():
        for record in records:
            if topic in BINARY:
                headers = envelope.attributes(record.headers)
                if "ce_sequence" in headers:
                    n, id = int(headers["ce_sequence"]), int(headers["ce_id"])
                    found[place].append(Entry(n=n, id=id, record=record))
            else:
                event = envelope.decode(record.value or b"", *place)
                found[place].append(Entry(n=event.n, id=event.id, record=record))
    return found


def taken_once(log: Mapping[Partition, list[Entry]]) -> dict[Partition, list[Entry]]:
    """What a reader takes that skips what it has: fails unless nothing is missing where it first appears."""
    taken = {}
    for place, its in log.items():
        new: list[Entry] = []
        for entry in its:
            mark = new[-1].n if new else its[0].n - 1
            assert entry.n <= mark + 1, f"{place}: {entry.n} after {mark}"
            if entry.n == mark + 1:
                new.append(entry)
            else:
                assert entry.id == new[entry.n - new[0].n].id, f"{place}: another event under number {entry.n}"
        taken[place] = new
    return taken


async def agrees(settings: Settings, pool: asyncpg.Pool, topic: str = CHANGES.name) -> int:
    """Check that the log has exactly the topic's events, under their numbers; how many records are repeats."""
    log = await entries(settings, topic)
    for place, its in taken_once(log).items():
        rows = await pool.fetch("SELECT n, id FROM events WHERE topic = $1 AND partition = $2 ORDER BY n", *place)
        assert [(entry.n, entry.id) for entry in its] == [(row["n"], row["id"]) for row in rows]
    total = await pool.fetchval("SELECT count(*) FROM events WHERE topic = $1 AND n IS NOT NULL", topic)
    assert sum(len(its) for its in taken_once(log).values()) == total
    return sum(len(its) for its in log.values()) - int(total)
