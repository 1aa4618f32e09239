"""A lane keeps its order through any errors, and never passes over a number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaConnectionError
from hypothesis import given
from hypothesis import strategies as st

from streams import envelope, lane, ticks
from streams.lane import Lane
from streams.layout import Partition
from streams.ledger import Mark, Numbered
from streams.records import Record
from streams.topics import PUBLICATIONS

PLACE = (PUBLICATIONS.name, 3)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def event(n: int, size: int = 10) -> Numbered:
    row = {
        "id": 1000 + n,
        "at": NOON,
        "key": "activity",
        "type": envelope.FRAME,
        "subject": "lead:1",
        "data": '"' + "x" * size + '"',
        "context": "{}",
        "audience": None,
        "schema": 1,
    }
    return Numbered(place=PLACE, n=n, row=row)


class Kafka:
    """The other end of a lane: acknowledges, or fails before or after it has the records, as it is told."""

    def __init__(self, outcomes: Sequence[str] = ()) -> None:
        self.log: list[Record] = []
        self.batches: list[list[int]] = []
        self._outcomes = list(outcomes)

    async def deliver(self, place: Partition, records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        outcome = self._outcomes.pop(0) if self._outcomes else "taken"
        self.batches.append([n for n in map(number, records) if n is not None])
        if outcome != "lost":
            self.log += records
        if outcome != "taken":
            raise KafkaConnectionError

    @property
    def numbers(self) -> list[int]:
        return [n for n in map(number, self.log) if n is not None]


def number(record: Record) -> int | None:
    value = dict(record.headers).get("ce_sequence")
    return None if value is None else int(value)


class Running:
    """A lane that runs over a table of events."""

    def __init__(self, kafka: Kafka, *, numbered: int = 0, sent: int = 0, size: int = 10) -> None:
        self.table = [event(n, size) for n in range(1, numbered + 1)]
        self.moved = asyncio.Event()
        self.reads = 0
        self.lane = Lane(
            PLACE,
            mark=Mark(numbered=numbered, sent=sent),
            last=(sent, 1000 + sent),
            deliver=kafka.deliver,
            read=self.read,
            moved=self.moved,
        )

    async def read(self, place: Partition, after: int, until: int) -> list[Numbered]:
        self.reads += 1
        await asyncio.sleep(0)
        return [e for e in self.table if after < e.n <= until][:7]

    def give(self, count: int, size: int = 10) -> None:
        new = [event(self.lane.numbered + 1 + i, size) for i in range(count)]
        self.table += new
        self.lane.give(new)

    async def __aenter__(self) -> Running:
        self._task = asyncio.create_task(self.lane.run())
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def all_sent(self) -> None:
        async with asyncio.timeout(30):
            while not self.lane.has_sent(self.lane.numbered):
                self.moved.clear()
                await self.moved.wait()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("give"), st.integers(1, 9)),
        st.tuples(st.just("again"), st.integers(0, 40)),
        st.tuples(st.just("tick"), st.just(0)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    max_size=25,
)


@given(steps=steps, outcomes=st.lists(st.sampled_from(["taken", "lost", "unsure"])), before=st.integers(0, 20))
def test_whatever_fails_every_number_follows_its_predecessor(
    steps: list[tuple[str, int]], outcomes: list[str], before: int
) -> None:
    kafka = Kafka(outcomes)

    async def play() -> None:
        async with Running(kafka, numbered=before, sent=before // 2) as running:
            for step, count in steps:
                if step == "give":
                    running.give(count)
                elif step == "again":
                    running.lane.send_again(count)
                elif step == "tick":
                    running.lane.tick(NOON)
                for _ in range(count if step == "turn" else 0):
                    await asyncio.sleep(0)
            await running.all_sent()

            mark = before // 2
            for n in kafka.numbers:
                assert n <= mark + 1
                mark = max(mark, n)
            assert mark == running.lane.numbered

    pause, lane.BACKOFF = lane.BACKOFF, (0.0, 0.0)
    try:
        asyncio.run(play())
    finally:
        lane.BACKOFF = pause


async def test_the_same_batch_is_repeated_before_anything_later(monkeypatch: Any) -> None:
    monkeypatch.setattr(lane, "BACKOFF", (0.0, 0.0))
    kafka = Kafka(["lost", "unsure", "lost", "taken"])
    async with Running(kafka, numbered=3) as running:
        while len(kafka.batches) < 2:
            await asyncio.sleep(0)
        running.give(4)
        await running.all_sent()
    assert kafka.batches == [[1, 2, 3]] * 4 + [[4, 5, 6, 7]]
    assert kafka.numbers == [1, 2, 3, 1, 2, 3, 4, 5, 6, 7]


async def test_a_batch_has_its_limit_and_a_single_large_record_its_own() -> None:
    kafka = Kafka()
    async with Running(kafka) as running:
        running.give(3, size=lane.BATCH_BYTES * 2 // 5)
        running.give(1, size=lane.BATCH_BYTES * 6 // 5)
        running.give(1)
        await running.all_sent()
    assert kafka.batches == [[1, 2], [3], [4], [5]]


async def test_what_is_at_hand_is_not_read_again() -> None:
    kafka = Kafka()
    async with Running(kafka, numbered=10) as running:
        await running.all_sent()
        reads = running.reads
        for _ in range(5):
            running.give(3)
            await asyncio.sleep(0)
        await running.all_sent()
        assert running.reads == reads
    assert kafka.numbers == list(range(1, 26))


async def test_a_failing_lane_keeps_little_and_reads_the_rest(monkeypatch: Any) -> None:
    monkeypatch.setattr(lane, "BACKOFF", (0.0, 0.0))
    kafka = Kafka(["lost"] * 200)
    async with Running(kafka) as running:
        running.give(3)
        while running.lane.healthy:
            running.moved.clear()
            await running.moved.wait()
        for _ in range(20):
            running.give(5)
        assert running.lane.waiting == 0
        await running.all_sent()
    assert kafka.numbers == list(range(1, 104))


async def test_events_deleted_by_hand_hold_up_nothing() -> None:
    kafka = Kafka()
    running = Running(kafka, numbered=10, sent=2)
    running.table = []
    async with running:
        await running.all_sent()
        running.give(2)
        await running.all_sent()
    assert kafka.numbers == [11, 12]


async def test_a_tick_names_the_record_before_it() -> None:
    kafka = Kafka()
    async with Running(kafka, numbered=4, sent=4) as running:
        running.lane.tick(NOON)
        while not kafka.log:
            await asyncio.sleep(0)
        running.give(2)
        running.lane.tick(NOON)
        await running.all_sent()
    headers = [dict(record.headers) for record in kafka.log]
    lasts = [(int(h[ticks.LAST_N]), int(h[ticks.LAST_ID])) for h in headers if ticks.LAST_N in h]
    assert lasts == [(4, 1004), (6, 1006)]
    assert [number(r) for r in kafka.log] == [None, 5, 6, None]


def test_the_clock_never_goes_back() -> None:
    clock = ticks.Clock(at_least=NOON)
    later = NOON.replace(hour=13)
    assert [clock.read(t) for t in (NOON.replace(hour=11), later, NOON)] == [NOON, later, later]
