"""A relay's term of office: the tasks that run while it holds the lock. Any that fails ends the term."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from asyncpg.exceptions import InterfaceError, InternalClientError, PostgresError
from prometheus_client import Counter, Gauge, Histogram

from settings import Settings
from streams import ledger, ticks, upkeep
from streams.lane import Lane
from streams.layout import Partition
from streams.ledger import Ledger, Mark, MarksMoved, Numbered, Row
from streams.log import LogError
from streams.records import Record
from streams.restored import End
from streams.topics import PUBLICATIONS

log = structlog.get_logger()

BACKLOG = Gauge("relay_backlog_events", "Events that Kafka has not acknowledged, those without a number up to 100,000")
SENT = Counter("relay_sent_total", "Records acknowledged by Kafka, repeats and ticks included", ["topic"])
BATCH_SECONDS = Histogram("relay_batch_seconds", "Seconds to give a batch of events their numbers")

#: Seconds between two looks for events nobody announced.
POLL = 0.05
#: Seconds between two looks at the floor.
FLOOR = 0.25
#: Events that may wait at hand in lanes that work, before more are numbered.
WAITING = 2_000


class Term:
    """Numbers and sends. `number`, `deliver` and `mark` are the three steps in which a process may be killed."""

    def __init__(
        self,
        *,
        book: Ledger,
        marks: dict[Partition, Mark],
        ends: Mapping[Partition, End],
        pool: asyncpg.Pool,
        producer: AIOKafkaProducer,
        settings: Settings,
        wake: asyncio.Event,
    ) -> None:
        self._book = book
        self._marks = marks
        self._pool = pool
        self._producer = producer
        self._prefix = settings.kafka_prefix
        self._wake = wake
        self._moved = asyncio.Event()
        #: What Kafka's next offset cannot be below.
        self._offsets = {place: end.offset for place, end in ends.items()}
        self._clock = ticks.Clock(at_least=max((end.time for end in ends.values() if end.time), default=None))
        self._lanes = {
            place: Lane(
                place,
                mark=mark,
                last=ends[place].last or ticks.NONE_YET,
                deliver=self.deliver,
                read=self._read,
                moved=self._moved,
            )
            for place, mark in marks.items()
            if place in ends
        }

    async def run(self) -> None:
        """Number and send until a task fails; raises its error in an ExceptionGroup."""
        publications = {place[1]: lane for place, lane in self._lanes.items() if place[0] == PUBLICATIONS.name}
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes.values():
                    group.create_task(lane.run())
                group.create_task(self._number_all())
                group.create_task(self._every(ticks.INTERVAL, self._tick))
                group.create_task(self._every(1.0, upkeep.Requests(self._pool, publications).honour))
                group.create_task(self._every(5.0, self._measure))
                group.create_task(self._every(60.0, partial(upkeep.make_partitions, self._pool)))
                group.create_task(self._every(60.0, partial(upkeep.purge, self._pool, self._lanes)))
        finally:
            # Spares the next relay repeats; it does without if this fails.
            with suppress(PostgresError, InterfaceError, InternalClientError, OSError, TimeoutError, MarksMoved):
                async with asyncio.timeout(1.0):
                    if sent := self._acknowledged():
                        await self.mark(sent)

    async def number(self, rows: Sequence[Row]) -> list[Numbered]:
        """Give events their numbers and commit."""
        with BATCH_SECONDS.time():
            return await self._book.number(rows, self._marks, self._acknowledged())

    async def deliver(self, place: Partition, records: Sequence[Record]) -> None:
        """Send one batch, once. Raises KafkaError, and LogError when Kafka is not the one it was."""
        batch = self._producer.create_batch()
        for record in records:
            if batch.append(key=record.key, value=record.value, headers=record.headers, timestamp=None) is None:
                raise LogError(f"A batch for {place[0]}/{place[1]} is larger than the producer allows.")
        batch.close()
        topic, partition = self._prefix + place[0], place[1]
        try:
            acknowledged = await (await self._producer.send_batch(batch, topic, partition=partition))
        except AssertionError as error:  # the client's own check of the partition's existence
            raise LogError(f"Topic {place[0]} has lost partition {partition}; run `main.py newlog`.") from error
        if acknowledged.offset < self._offsets[place]:
            raise LogError(
                f"{place[0]}/{partition} went back from offset {self._offsets[place]} to {acknowledged.offset}: "
                "Kafka has lost the log or is another one. Run `main.py newlog`."
            )
        self._offsets[place] = acknowledged.offset + len(records)
        SENT.labels(place[0]).inc(len(records))

    async def mark(self, sent: Mapping[Partition, int]) -> None:
        """Commit how far Kafka has acknowledged."""
        await self._book.sent(sent, self._marks)

    async def _number_all(self) -> None:
        loop = asyncio.get_running_loop()
        looked = 0.0
        idle = False
        while True:
            await self._room()
            self._wake.clear()
            rows, more = await self._book.unnumbered()
            if rows:
                self._hand_over(await self.number(rows))
            elif idle and (sent := self._acknowledged()):
                await self.mark(sent)
            if loop.time() - looked > FLOOR:
                await self._book.floor.look()
                looked = loop.time()
            idle = not more and not await self._woken()

    async def _woken(self) -> bool:
        """Wait for the next wake, at most until it is time to look unasked; whether there was one."""
        try:
            async with asyncio.timeout(POLL):
                return await self._wake.wait()
        except TimeoutError:
            return False

    async def _room(self) -> None:
        """Wait until lanes have sent most of what they were given. One that fails keeps nobody waiting."""
        while sum(lane.waiting for lane in self._lanes.values() if lane.healthy) >= WAITING:
            self._moved.clear()
            try:
                async with asyncio.timeout(1.0):
                    await self._moved.wait()
            except TimeoutError:
                await self._book.floor.look()  # an idle session would be ended, and the lock with it

    def _hand_over(self, events: Sequence[Numbered]) -> None:
        given = defaultdict(list)
        for event in events:
            given[event.place].append(event)
        for place, its in given.items():
            self._lanes[place].give(its)

    def _acknowledged(self) -> dict[Partition, int]:
        """What was acknowledged and is not marked yet. A lane that sends again is behind its mark for a while."""
        return {place: lane.sent for place, lane in self._lanes.items() if lane.sent > self._marks[place].sent}

    async def _read(self, place: Partition, after: int, until: int) -> list[Numbered]:
        return await ledger.numbered(self._pool, place, after=after, until=until)

    async def _tick(self) -> None:
        time = self._clock.read(await self._pool.fetchval("SELECT clock_timestamp()"))
        for place, lane in self._lanes.items():
            if place[0] == PUBLICATIONS.name:
                lane.tick(time)

    async def _measure(self) -> None:
        unsent = sum(lane.numbered - lane.sent for lane in self._lanes.values())
        BACKLOG.set(unsent + await ledger.backlog(self._pool, above=self._book.floor.value))

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` now and again. What Postgres refuses is tried again: none of it may end the term."""
        while True:
            try:
                await work()
            except PostgresError as error:
                log.warning("relay_upkeep_failed", work=getattr(work, "__name__", str(work)), error=repr(error))
            await asyncio.sleep(seconds)
