"""Reading what a channel said longer ago than this node remembers: from the Kafka partition.

Numbers are not in the records, the fold gives them. So a read folds the partition forward, with a state of its own,
from the newest snapshot at or below what is wanted. One scan of a partition at a time serves every reader who waits
for it; readers who come while it runs join it if it has not passed them, or wait for the next. Each is given a page;
the scan keeps its place for a while, so that the next page goes on where the last one ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from actors.channel import PAGE_BYTES, Publication
from actors.log import Applied, Record, State, apply
from actors.messages import Gap
from actors.partition import PAGE
from actors.session import OutOfReach
from hub.errors import unavailable
from hub.publications import decode
from hub.snapshots import Snapshots

log = structlog.get_logger()

#: Readers one partition keeps waiting; more are told to come again.
READERS = 256

#: Records folded before others on the loop get a turn.
TURN = 250

#: Seconds without a record before a scan gives up: what it waits for is in the log.
PATIENCE = 10

#: Seconds a scan keeps its place and its connection after the last page.
LINGER = 5.0

SCANNED = Counter("hub_scan_records_total", "Records read again for history older than memory")

Consumer = Callable[[], AbstractAsyncContextManager[AIOKafkaConsumer]]


class ScanError(Exception):
    """Older history cannot be read for the moment."""


class Reader:
    """Somebody who waits for a page of one channel."""

    def __init__(self, gap: Gap) -> None:
        self.gap = gap
        self.page: list[Publication] = []
        self.answer: asyncio.Future[list[Publication]] = asyncio.get_running_loop().create_future()
        self._size = 0

    def begins_after(self, state: State) -> bool:
        """Whether a fold from this state meets everything wanted."""
        if state.next > self.gap.before:
            return False
        channel = state.channels.get(self.gap.channel)
        if channel is None or state.epoch(channel.made) != self.gap.epoch:
            return state.next <= int(self.gap.epoch.rpartition("-")[2])
        if self.gap.start is not None:
            return state.next <= self.gap.start
        return channel.offset <= self.gap.since

    def see(self, record: Record, applied: Applied) -> None:
        """Take a record of the channel if it is wanted."""
        if not applied.new or applied.epoch != self.gap.epoch or applied.offset <= self.gap.since:
            return
        if record.offset >= (self.gap.start or 0):
            self.page.append(Publication(record, applied.offset))
            self._size += len(record.payload)

    @property
    def full(self) -> bool:
        """Whether the page is full; one publication is enough to know a place."""
        most = PAGE if self.gap.start is None else 1
        return len(self.page) >= most or self._size >= PAGE_BYTES

    def done(self, next: int) -> bool:
        """Whether the page is full, or memory goes on from here, or nobody waits for it any more."""
        return self.full or next >= self.gap.before or self.answer.done()

    def settle(self) -> None:
        """Answer with what was found. It may be nothing only if a place was looked for."""
        if self.page or self.gap.start is not None:
            if not self.answer.done():
                self.answer.set_result(self.page)
        else:
            self.refuse()

    def refuse(self) -> None:
        """Answer that the log does not reach back."""
        if not self.answer.done():
            self.answer.set_exception(OutOfReach(f"{self.gap.channel} after {self.gap.since}"))


class Place:
    """Where a scan stands: the state, and records that were fetched and not folded yet."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._ahead: deque[Record] = deque()

    def fold(self, readers: Sequence[Reader]) -> bool:
        """Fold what was fetched until a reader is done; False if more must be fetched for that."""
        wanted: dict[str, list[Reader]] = {}
        for reader in readers:
            wanted.setdefault(reader.gap.channel, []).append(reader)
        until = min(reader.gap.before for reader in readers)
        while self._ahead and self.state.next < until:
            record = self._ahead.popleft()
            applied = apply(self.state, record)
            listening = wanted.get(record.channel)
            if listening and isinstance(applied, Applied):
                for reader in listening:
                    reader.see(record, applied)
                if any(reader.full for reader in listening):
                    return True
        return self.state.next >= until

    async def fetch(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Wait for records. Raises TimeoutError."""
        for _ in range(PATIENCE):
            found = await consumer.getmany(partition, timeout_ms=1_000, max_records=TURN)
            if records := found.get(partition):
                SCANNED.inc(len(records))
                self._ahead.extend(map(decode, records))
                return
        raise TimeoutError(f"nothing from the broker for {PATIENCE} s")


class Scan:
    """The scan of one partition. `first` makes the state before any record; `slots` bounds the scans of a node."""

    def __init__(
        self,
        partition: TopicPartition,
        *,
        first: Callable[[], State],
        snapshots: Snapshots,
        consumer: Consumer,
        slots: asyncio.Semaphore,
    ) -> None:
        self._partition = partition
        self._first = first
        self._snapshots = snapshots
        self._consumer = consumer
        self._slots = slots
        self._waiting: list[Reader] = []
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def read(self, gap: Gap) -> Sequence[Publication]:
        """A page of publications after `gap.since`, at least one; or what is at `gap.start`, if there is anything.

        Raises OutOfReach or ScanError.
        """
        if len(self._waiting) >= READERS:
            raise ScanError(f"{READERS} readers wait for older history already")
        reader = Reader(gap)
        self._waiting.append(reader)
        self._arrived.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await reader.answer

    async def stop(self) -> None:
        """Give up; whoever waits is told."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._fail(ScanError("the node stops"))

    async def _run(self) -> None:
        """Serve readers until none has come for a while; who comes while the connection is being closed counts too."""
        while self._waiting:
            try:
                async with self._slots, self._consumer() as consumer:
                    consumer.assign([self._partition])
                    place: Place | None = None
                    while await self._more():
                        place = await self._pass(consumer, place)
            except Exception as error:  # nobody may be left waiting, whatever it was
                expected = unavailable(error) or isinstance(error, KafkaError)
                log.warning(
                    "scan_failed", partition=self._partition.partition, error=repr(error), exc_info=not expected
                )
                self._fail(ScanError(repr(error)))

    async def _more(self) -> bool:
        """Whether somebody waits, or comes soon enough."""
        self._waiting = [reader for reader in self._waiting if not reader.answer.done()]
        if self._waiting:
            return True
        self._arrived.clear()
        try:
            async with asyncio.timeout(LINGER):
                await self._arrived.wait()
        except TimeoutError:
            return bool(self._waiting)
        return True

    async def _pass(self, consumer: AIOKafkaConsumer, place: Place | None) -> Place | None:
        """Fold forward until everybody met on the way has a page. Returns where it stands, for the next pass."""
        if place is None or not any(reader.begins_after(place.state) for reader in self._waiting):
            place = await self._begin(consumer, self._waiting[0])
            if place is None:
                return None
            consumer.seek(self._partition, place.state.next)
        met: list[Reader] = []
        while True:
            met += [reader for reader in self._waiting if reader not in met and reader.begins_after(place.state)]
            for reader in [reader for reader in met if reader.done(place.state.next)]:
                reader.settle()
                met.remove(reader)
                self._waiting.remove(reader)
            if not met:
                return place
            if not place.fold(met):
                await place.fetch(consumer, self._partition)
            await asyncio.sleep(0)

    async def _begin(self, consumer: AIOKafkaConsumer, reader: Reader) -> Place | None:
        """A place before everything this reader wants; None, and the reader is told, if the log begins later."""
        beginning = (await consumer.beginning_offsets([self._partition]))[self._partition]
        number = self._partition.partition
        found = await self._snapshots.newest(
            number, above=beginning, below=reader.gap.before, usable=reader.begins_after
        )
        state = self._first() if found is None else found.state
        if state.next < beginning or not reader.begins_after(state):
            reader.refuse()
            self._waiting.remove(reader)
            return None
        return Place(state)

    def _fail(self, error: ScanError) -> None:
        for reader in self._waiting:
            if not reader.answer.done():
                reader.answer.set_exception(error)
        self._waiting.clear()
