"""One node's fold: the actors of all partitions, the tail that feeds them, snapshots, and reads of the older log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import asyncpg
import structlog
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from actors.channel import Publication, Retention
from actors.log import Position, State
from actors.messages import Gap, Read, Settled, TakeSnapshot
from actors.partition import Partition
from actors.snapshot import Restored
from hub import guard
from hub.errors import unavailable
from hub.keys import NAMESPACES, POOL, SETTINGS
from hub.scan import Scan
from hub.snapshots import Snapshots
from hub.tail import Tail
from settings import Settings
from streams import kafka
from streams import log as logs
from streams.topics import CONTROL, PARTITIONS, PUBLICATIONS, partition_of

log = structlog.get_logger()

#: Seconds between looks at the log's ends and at Postgres, and at whether snapshots are due.
ROUND = 5.0

#: Seconds one such look may take.
PATIENCE = 10.0

#: Seconds a client that is ahead of this node waits for it.
BEHIND = 2.0

#: Scans of the older log that run at the same time.
SCANS = 2

#: Records a starting node reads again to remember what was remembered before.
READ_BACK = 20_000


class Fold:
    """All that one node knows of the publications log. `failed` ends with the error that ended the fold."""

    def __init__(
        self,
        current: logs.Log,
        pool: asyncpg.Pool,
        consumer: AIOKafkaConsumer,
        topic: str,
        partitions: Sequence[Partition],
        tail: Tail,
        snapshots: Snapshots,
        scans: Sequence[Scan],
    ) -> None:
        self.log = current
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.partitions = partitions
        #: Whether Postgres answered when it was last asked.
        self.postgres = True
        self._pool = pool
        #: Reads `hub.publications` for the fold and stands at the end of `hub.control` for others: one connection.
        self.consumer = consumer
        self._tail = tail
        self._snapshots = snapshots
        self._scans = scans
        self._topic = topic
        self._progress = guard.Progress()
        self._caught_up = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether it has caught up with the log and goes on."""
        return self._caught_up.is_set() and not self.failed.done()

    async def caught_up(self) -> None:
        """Wait until it has first caught up. Raises what ended the fold before that."""
        waiting = asyncio.ensure_future(self._caught_up.wait())
        either: list[asyncio.Future[Any]] = [waiting, self.failed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self.failed.done():
            self.failed.result()

    def partition(self, channel: str) -> Partition:
        """The actor that owns a channel."""
        return self.partitions[partition_of(channel)]

    async def settled(self, channel: str, id: str) -> Position:
        """The place of a record from outside, once folded here. Raises ActorStopped."""
        return await self.partition(channel).ask(Settled(channel=channel, id=id))

    async def await_place(self, channel: str, since: Position) -> None:
        """Give the fold a moment to reach a place another node has shown already, if this one is behind."""
        if since.epoch and not since.epoch.startswith(self.log.incarnation):
            return
        if (await self.partition(channel).ask(Read(channel=channel, since=since, limit=0))).reached:
            return
        place = TopicPartition(self._topic, partition_of(channel))
        with suppress(TimeoutError, KafkaError):  # then the client is told that it was not recovered
            async with asyncio.timeout(BEHIND):
                ends = await self.consumer.end_offsets([place])
                await self._tail.reached(place.partition, ends[place])

    async def scan(self, gap: Gap) -> Sequence[Publication]:
        """A page of what a channel said before memory begins. Raises OutOfReach or ScanError."""
        return await self._scans[partition_of(gap.channel)].read(gap)

    async def offset_at(self, channel: str, milliseconds: int) -> int | None:
        """Kafka offset of the first record from this Unix time on, in a channel's partition; None if there is none.

        Raises KafkaError.
        """
        place = TopicPartition(self._topic, partition_of(channel))
        found = (await self.consumer.offsets_for_times({place: milliseconds}))[place]
        # The embedded broker says offset 0 and no time if there is none.
        return None if found is None or found.timestamp < 0 else int(found.offset)

    async def run(self) -> None:
        """Fold until cancelled; whatever ends it otherwise is in `failed`."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._watch())
        except* Exception as errors:
            error = errors.exceptions[0]
            log.error("fold_failed", error=str(error) or repr(error))
            self.failed.set_exception(error)
            self.failed.exception()  # whoever waits for it gets it; if nobody does, it stands in the log line

    async def _follow(self) -> None:
        await self._tail.begin()
        await self._tail.reach(await self.consumer.end_offsets(self._tail.places()))
        self._caught_up.set()
        log.info("fold_caught_up", log=self.log.incarnation, next=self._tail.next)
        await self._tail.run()

    async def _watch(self) -> None:
        """Look again and again whether log and Postgres are still ours, and keep snapshots."""
        await self._caught_up.wait()
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._look()
            except (KafkaError, TimeoutError) as error:
                log.warning("fold_look_interrupted", error=repr(error))
            await asyncio.sleep(ROUND)

    async def _look(self) -> None:
        # What was read before asking: the fold goes on while the answer is under way.
        marks, read = list(self._tail.marks), list(self._tail.next)
        now = asyncio.get_running_loop().time()
        ends = await self.consumer.end_offsets(self._tail.places())
        beginnings = await self.consumer.beginning_offsets(self._tail.places())
        for place, end in ends.items():
            self._progress.check(place.partition, read[place.partition], end, now)
        try:
            async with self._pool.acquire() as connection:
                await guard.check_postgres(connection, self.log, marks)
                await self._ask_again(connection)
            await self.take_snapshots([beginnings[place] for place in self._tail.places()])
            self.postgres = True
        except Exception as error:
            if not unavailable(error):
                raise
            if self.postgres:
                log.warning("fold_lost_postgres", error=repr(error))
            self.postgres = False

    async def take_snapshots(self, beginnings: Sequence[int]) -> None:
        """Keep a snapshot of each partition that has moved far enough since its last one."""
        for partition in await self._snapshots.due(self._tail.next):
            taken = await self.partitions[partition].ask(TakeSnapshot())
            await self._snapshots.add(partition, taken, beginning=beginnings[partition])
            log.info("snapshot_taken", partition=partition, next=taken.next, bytes=len(taken.state))

    async def _ask_again(self, connection: asyncpg.Connection) -> None:
        """Ask the relay for the numbers that are missing."""
        for partition, mark in list(self._tail.holes.items()):
            await connection.execute(
                """INSERT INTO resend_requests (partition, after_n) VALUES ($1, $2)
                   ON CONFLICT (partition) DO UPDATE SET after_n = excluded.after_n, requested_at = now()""",
                partition,
                mark,
            )
            del self._tail.holes[partition]


@asynccontextmanager
async def folding(settings: Settings, pool: asyncpg.Pool, retention: Callable[[str], Retention]) -> AsyncIterator[Fold]:
    """A fold that runs; `retention` is what is remembered of each channel, as far as the node's budget goes.

    Raises LogError when the log is not there, KafkaError or asyncpg errors when an engine is not.
    """
    async with AsyncExitStack() as stack:
        async with pool.acquire() as connection:
            current = await logs.current(connection)
        consumer = await stack.enter_async_context(kafka.consumer(settings, fetch_wait=settings.tail_fetch_wait))
        topic = settings.kafka_prefix + PUBLICATIONS.name
        snapshots = Snapshots(pool, current.id)
        restored = await _restore(current, consumer, topic, snapshots)
        budget = settings.history_megabytes * 1024 * 1024 // PARTITIONS
        partitions = [
            Partition(n, r.state, retention=retention, budget=budget, remembered=r.remembered)
            for n, r in enumerate(restored)
        ]
        control = [TopicPartition(settings.kafka_prefix + CONTROL.name, p) for p in range(PARTITIONS)]
        beside = await consumer.end_offsets(control)
        tail = Tail(consumer, topic, partitions, [r.state for r in restored], beside=beside)
        slots = asyncio.Semaphore(SCANS)
        scans = [
            Scan(
                place,
                first=partial(_first, current, place.partition),
                snapshots=snapshots,
                consumer=lambda: kafka.consumer(settings, fetch_wait=settings.tail_fetch_wait),
                slots=slots,
            )
            for place in tail.places()
        ]
        for partition in partitions:
            stack.push_async_callback(partition.stop)
            await partition.start()
        for scan in scans:
            stack.push_async_callback(scan.stop)
        fold = Fold(current, pool, consumer, topic, partitions, tail, snapshots, scans)
        running = asyncio.create_task(fold.run())
        try:
            yield fold
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def _first(current: logs.Log, partition: int) -> State:
    """The state of a partition before any record of this log."""
    offset, n = current.partitions[PUBLICATIONS.name, partition]
    return State.first(current.incarnation, offset, n)


async def _restore(current: logs.Log, consumer: AIOKafkaConsumer, topic: str, snapshots: Snapshots) -> list[Restored]:
    """What each partition goes on from: its newest snapshot within the log, or the log's beginning."""
    places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    beginnings, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    found = []
    for place in places:
        newest = await snapshots.newest(place.partition, above=beginnings[place], below=ends[place])
        if newest is None:
            newest = Restored(state=_first(current, place.partition), remembered={})
        since = max(beginnings[place], newest.state.next - READ_BACK)
        within = {offset: known for offset, known in newest.remembered.items() if offset >= since}
        found.append(Restored(state=newest.state, remembered=within))
    return found


FOLD = web.AppKey("fold", Fold)


async def keep_folding(app: web.Application) -> AsyncIterator[None]:
    """The fold of an application, from its start to its end."""
    async with folding(app[SETTINGS], app[POOL], app[NAMESPACES].retention) as fold:
        app[FOLD] = fold
        yield
