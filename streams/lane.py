"""A lane: the way of one partition's events from their numbers to Kafka's acknowledgement.

Whatever happens, a partition's records follow one another in the order of their numbers, without a hole. So there is
one unacknowledged batch at a time, and after an error that same batch is repeated before anything later: a record may
stand in the log twice, never after its successor only. Each lane goes on alone; one partition without a leader holds
up no other.

A lane is given events as they are numbered. What it does not have at hand, because it has just taken over, because
Kafka was away for long, or because it was asked to send again, it reads from the table.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog
from aiokafka.errors import KafkaError

from streams.layout import Partition
from streams.ledger import Mark, Numbered
from streams.records import Record, record
from streams.ticks import tick

log = structlog.get_logger()

#: Bytes of records in one batch, unless a single one is larger.
BATCH_BYTES = 400_000
#: Seconds before a batch is repeated: at first, and at most.
BACKOFF = (0.1, 2.0)

#: Hands one batch to Kafka, once, and returns when it is acknowledged. Raises KafkaError.
Deliver = Callable[[Partition, Sequence[Record]], Awaitable[None]]
#: Reads numbered events from the table: partition, above this number, up to this one.
Read = Callable[[Partition, int, int], Awaitable[list[Numbered]]]


class Lane:
    """Sends one partition's events. `run` is a task of the relay."""

    def __init__(
        self,
        place: Partition,
        *,
        mark: Mark,
        last: tuple[int, int],
        deliver: Deliver,
        read: Read,
        moved: asyncio.Event,
    ) -> None:
        self.place = place
        #: Highest number given out.
        self.numbered = mark.numbered
        #: Highest number acknowledged.
        self.sent = mark.sent
        #: Whether the last attempt to send worked.
        self.healthy = True
        #: Set whenever something changed that is told of here.
        self._moved = moved
        self._deliver = deliver
        self._read = read
        #: Highest number in the batch on its way, or else acknowledged.
        self._taken_up = mark.sent
        #: What follows it, without a hole; not always up to `numbered`.
        self._at_hand: deque[Numbered] = deque()
        #: Number and id of the last event taken up, for ticks.
        self._last = last
        self._tick: datetime | None = None
        self._again_after: int | None = None
        self._work = asyncio.Event()
        if mark.sent < mark.numbered:
            self._work.set()

    @property
    def waiting(self) -> int:
        """Events at hand."""
        return len(self._at_hand)

    def give(self, events: Sequence[Numbered]) -> None:
        """Events that were just numbered, in order."""
        reached = self._at_hand[-1].n if self._at_hand else self._taken_up
        if reached == self.numbered and self.healthy:
            self._at_hand.extend(events)
        self.numbered = events[-1].n
        self._work.set()

    def tick(self, time: datetime) -> None:
        """Move partition time; while nothing can be sent only the latest counts."""
        self._tick = time
        self._work.set()

    def send_again(self, after: int) -> None:
        """Send what is numbered above `after` once more, as soon as the batch on its way has arrived."""
        self._again_after = after
        self._work.set()

    def has_sent(self, n: int) -> bool:
        """Whether everything up to this number is acknowledged, and was sent again if that was asked for."""
        return self._again_after is None and self.sent >= n

    async def run(self) -> None:
        """Send whatever there is, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            while records := await self._batch():
                await self._until_delivered(records)

    async def _batch(self) -> list[Record]:
        """The next records, in order; none when all is sent."""
        if self._again_after is not None:
            self._taken_up = self.sent = min(self.sent, self._again_after)
            self._at_hand.clear()
            self._again_after = None
            self._moved.set()
        if not self._at_hand and self._taken_up < self.numbered:
            await self._refill()
        records: list[Record] = []
        size = 0
        while self._at_hand:
            event = self._at_hand[0]
            made = record(self.place[0], event.row, event.n)
            if records and size + made.size > BATCH_BYTES:
                break
            records.append(made)
            size += made.size
            self._at_hand.popleft()
            self._taken_up = event.n
            self._last = (event.n, event.row["id"])
        if self._tick is not None:
            records.append(tick(self._tick, last=self._last))
            self._tick = None
        return records

    async def _refill(self) -> None:
        until = self.numbered
        events = await self._read(self.place, self._taken_up, until)
        if not events:  # deleted by hand: what is not there cannot be waited for
            log.error("numbered_events_missing", place=self.place, after=self._taken_up, until=until)
            self._taken_up = self.sent = until
            self._moved.set()
        self._at_hand.extend(events)

    async def _until_delivered(self, records: Sequence[Record]) -> None:
        pause, longest = BACKOFF
        while True:
            try:
                await self._deliver(self.place, records)
                break
            except KafkaError as error:
                log.warning("batch_repeated", place=self.place, records=len(records), error=repr(error))
                self.healthy = False
                self._moved.set()
                await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
        self.healthy = True
        self.sent = self._taken_up
        self._moved.set()
