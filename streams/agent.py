"""What an agent is, and how it moves.

An agent is a function from events to rows. It is given the next events of the places it reads and a transaction; it
writes what follows from them, and nothing else: no network, no file, no clock. The runtime writes the agent's
progress in the same transaction, so that an event is taken once however often the log delivers it, and an event the
log has lost is read from Postgres. An event that cannot be derived is set aside as a dead event and the rest go on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from uuid import UUID

import asyncpg
import structlog
from prometheus_client import Counter

from streams import catchup, failures, progress
from streams.catchup import LogMismatch, Place
from streams.envelope import Event
from streams.progress import Mark
from streams.topics import Topic

log = structlog.get_logger()

#: Events in one transaction.
BATCH = 500

#: Tries of a batch that fails by an event of its own, before its events are taken one by one.
TRIES = 3

#: What an agent whose rows are read, not waited for, lingers. At 200 changes/s it takes four in a transaction.
LINGER = 0.02

#: Back-off between tries, in seconds: doubled from the first to the longest, with jitter.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0

EVENTS_TAKEN = Counter("agent_events_total", "Events an agent has taken", ["agent"])
RETRIES = Counter("agent_retries_total", "Transactions of an agent that were tried again", ["agent"])
DEAD = Counter("agent_dead_total", "Events an agent gave up on", ["agent"])

#: Derived rows have ids that follow from the event, so that a rebuild gives the same ones.
NAMESPACE = UUID("5e1f0b6a-7f0e-4c0a-9d3e-2a6c1d9b8f47").bytes

#: (connection in a transaction, events in the order of their places' numbers, ids of the quiet ones) -> rows.
#: For a quiet event nothing may be published.
Derive = Callable[[asyncpg.Connection, Sequence[Event], Collection[int]], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Agent:
    """One agent: what it reads, what it writes, and the function between."""

    name: str
    topics: tuple[Topic, ...]
    derive: Derive
    #: Tables that hold nothing but what it derived, each row with the `event_id` it follows from.
    tables: tuple[str, ...] = ()
    #: Whether it causes events of its own, for which the relay is woken.
    publishes: bool = False
    #: Seconds it waits after a first event for others, so that they share a transaction.
    linger: float = 0.0
    #: Events in one transaction at most.
    batch: int = BATCH
    #: What else follows when an event of it is set aside, in the same transaction.
    buried: Callable[[asyncpg.Connection, Event], Awaitable[None]] | None = None

    @property
    def topic_names(self) -> list[str]:
        """Names of its topics, without the deployment's prefix."""
        return [topic.name for topic in self.topics]


def derived_id(table: str, event_id: int, *parts: object) -> UUID:
    """The id of the row of `table` that follows from an event (and the parts that tell it from its siblings)."""
    name = ":".join([table, str(event_id), *map(str, parts)])
    return UUID(bytes=sha1(NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16], version=5)


def pause(attempt: int) -> float:
    """Seconds to wait after the attempt-th failure in a row (from 1)."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt - 1, 16))
    return random.uniform(longest / 2, longest)


class Underivable(Exception):
    """The agent's function failed by an event of its batch."""


class Goals:
    """What a call of the runtime still has to reach: per place a number, and the events the log has brought."""

    def __init__(self, numbers: Mapping[Place, int], events: Iterable[Event] = ()) -> None:
        self.numbers = dict(numbers)
        self.brought: dict[Place, dict[int, Event]] = {place: {} for place in numbers}
        for event in events:
            place = Place(event.topic, event.partition)
            self.numbers[place] = max(event.n, self.numbers.get(place, 0))
            self.brought.setdefault(place, {})[event.n] = event

    def settle(self, place: Place, mark: Mark) -> None:
        """Forget what the mark covers."""
        brought = self.brought[place]
        if (again := brought.get(mark.n)) is not None and mark.event_id:
            catchup.repeated(place, again, mark.event_id)
        for n in [n for n in brought if n <= mark.n]:
            del brought[n]
        if mark.n >= self.numbers[place]:
            del self.numbers[place], self.brought[place]

    def run(self, place: Place, mark: int, room: int) -> list[Event]:
        """The events the log has brought that follow the mark without a gap, at most `room` and few large ones."""
        brought = self.brought[place]
        run: list[Event] = []
        large = 0
        while len(run) < room and large < catchup.LARGE and (event := brought.get(mark + 1 + len(run))) is not None:
            run.append(event)
            large += event.data is None
        return run


@dataclass(frozen=True, kw_only=True)
class Step:
    """Events to take in one transaction, and where they bring the agent."""

    events: Sequence[Event]
    reached: Mapping[Place, Mark]

    @staticmethod
    def over(events: Sequence[Event], marks: Mapping[Place, Mark]) -> Step:
        """The step over events that follow these marks."""
        last = {Place(e.topic, e.partition): e for e in events}
        return Step(
            events=events,
            reached={
                place: Mark(n=e.n, event_id=e.id, quiet_until=marks[place].quiet_until) for place, e in last.items()
            },
        )


class Runtime:
    """Moves one agent. Several may move the same agent, in one process or many: its progress rows take turns."""

    def __init__(self, agent: Agent, pool: asyncpg.Pool, wake: Callable[[], None]) -> None:
        self.agent = agent
        #: Failures in a row; above zero it is backing off, not stalled.
        self.failures = 0
        self._pool = pool
        self._wake = wake
        self._turn = asyncio.Lock()
        #: Where the agent stood after the last transaction; somebody else may have moved it since.
        self._known: Mapping[Place, Mark] = {}

    async def register(self) -> None:
        """Make the agent known, if it is new. Call it before the relay starts numbering for it."""
        async with self._pool.acquire() as connection:
            await progress.register(connection, self.agent.name, self.agent.topic_names)

    async def take(self, events: Iterable[Event]) -> None:
        """Take events the log has brought, in any order, again or with gaps. Returns when none is left to take.

        Raises LogMismatch when they are not what `events` has.
        """
        await self._reach(Goals({}, events))

    async def catch_up(self, places: Iterable[Place]) -> None:
        """Take from `events` whatever is numbered by now in these places. Raises LogMismatch like `take`."""
        wanted = set(places)
        async with self._pool.acquire() as connection:
            lags = await progress.lags(connection, [self.agent.name])
        await self._reach(
            Goals({place: lag.numbered for (_, place), lag in lags.items() if place in wanted and lag.n < lag.numbered})
        )

    async def _reach(self, goals: Goals) -> None:
        singly = 0
        poisoned = 0
        while goals.numbers:
            async with self._turn:
                try:
                    await self._step(goals, room=1 if singly else self.agent.batch, bury=singly > 0)
                except LogMismatch:
                    raise
                except Exception as error:
                    # Whatever else went wrong (a connection, a lock, a disk, a missing table) is nothing the event
                    # can be blamed for: it is tried until it works.
                    await self._back_off(error)
                    poisoned += isinstance(error, Underivable)
                    if poisoned >= TRIES:
                        singly = BATCH
                else:
                    self.failures = poisoned = 0
                    singly = max(0, singly - 1)

    async def _back_off(self, error: Exception) -> None:
        self.failures += 1
        RETRIES.labels(self.agent.name).inc()
        seconds = pause(self.failures)
        log.warning(
            "agent_retries",
            agent=self.agent.name,
            failures=self.failures,
            seconds=round(seconds, 2),
            error=f"{type(error).__name__}: {error}",
        )
        await asyncio.sleep(seconds)

    async def _step(self, goals: Goals, *, room: int, bury: bool) -> None:
        """One transaction: the next events, their rows, the progress. With `bury` a bad event is set aside in it."""
        known, self._known = self._known, {}
        async with self._pool.acquire() as connection, connection.transaction():
            step = await self._expected(connection, goals, known, room) or await self._locked(connection, goals, room)
            if step is None:
                return
            events = await catchup.with_data(connection, step.events)
            quiet = {e.id for e in events if e.n <= step.reached[Place(e.topic, e.partition)].quiet_until}
            buried = await self._derive(connection, events, quiet, bury=bury)
        if self.agent.publishes or buried:
            self._wake()
        self._known = {**known, **step.reached}
        EVENTS_TAKEN.labels(self.agent.name).inc(len(events))
        DEAD.labels(self.agent.name).inc(buried)
        for place, mark in step.reached.items():
            goals.settle(place, mark)

    async def _expected(
        self, connection: asyncpg.Connection, goals: Goals, known: Mapping[Place, Mark], room: int
    ) -> Step | None:
        """The usual step: what the log has brought follows where this runtime left every place. None if it is not so.

        It spares the trip that asks where the agent stands.
        """
        if not goals.numbers.keys() <= known.keys():
            return None
        was: dict[Place, Mark] = {}
        events: list[Event] = []
        for place in goals.numbers:
            if not (run := goals.run(place, known[place].n, room - len(events))):
                return None
            was[place] = known[place]
            events += run
        step = Step.over(events, was)
        return step if await progress.advance(connection, self.agent.name, was, step.reached, events) else None

    async def _locked(self, connection: asyncpg.Connection, goals: Goals, room: int) -> Step | None:
        """A step from wherever the agent stands; None if there is nothing left to take."""
        marks = await progress.lock(connection, self.agent.name, goals.numbers)
        for place in list(goals.numbers):
            goals.settle(place, marks[place])
        events = await self._next(connection, marks, goals, room)
        if not events:
            return None
        step = Step.over(events, marks)
        await progress.move(connection, self.agent.name, step.reached)
        return step

    async def _next(
        self, connection: asyncpg.Connection, marks: Mapping[Place, Mark], goals: Goals, room: int
    ) -> list[Event]:
        """The next events of every place in need, at most `room`: from the log where it goes on, else from Postgres."""
        from_log: list[Event] = []
        caught_up: list[Event] = []
        for place, goal in goals.numbers.items():
            left = room - len(from_log) - len(caught_up)
            if left == 0:
                break
            mark = marks[place].n
            if run := goals.run(place, mark, left):
                from_log += run
                continue
            missed = await catchup.after(connection, place, mark, left)
            if not missed:
                raise catchup.beyond(place, goal, mark)
            caught_up += missed
        if from_log:
            await catchup.confirm(connection, from_log)
        return from_log + caught_up

    async def _derive(
        self, connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int], *, bury: bool
    ) -> int:
        """Write what follows from the events; returns how many were set aside. Raises Underivable unless `bury`."""
        if not bury:
            try:
                await self.agent.derive(connection, events, quiet)
            except Exception as error:
                if failures.is_of_the_event(error):
                    raise Underivable(failures.told(error)) from error
                raise
            return 0
        buried = 0
        for event in events:
            try:
                async with connection.transaction():
                    await self.agent.derive(connection, [event], quiet)
            except Exception as error:
                if not failures.is_of_the_event(error):
                    raise
                await failures.bury(connection, self.agent.name, event, error, quiet=event.id in quiet)
                if self.agent.buried is not None:
                    await self.agent.buried(connection, event)
                buried += 1
        return buried
