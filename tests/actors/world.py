"""A partition, a log it folds and clients that come and go, with a check of what each client may have received."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from actors import closes
from actors.channel import Publication, Retention
from actors.log import Applied, Kind, Position, Record, State, apply
from actors.messages import Apply, Gap, Read
from actors.partition import Partition
from actors.session import OutOfReach, Session
from tests.actors.fakes import Frame, Socket, Steps, Text, greeting

VIEWERS = 3
PLENTY = Retention(size=10_000, ttl=3600)


def state() -> State:
    """The state a log begins with."""
    return State.first("0badcafe", 0, 1)


def partition(retention: Retention = PLENTY, *, budget: int = 10**9) -> Partition:
    """A partition at the beginning of a log."""
    return Partition(0, state(), retention=lambda _: retention, budget=budget)


async def no_log(gap: Gap) -> Sequence[Publication]:
    """A log that reaches back to nothing."""
    raise OutOfReach


def record(
    offset: int, channel: str = "a", *, kind: Kind = "publication", audience: bytes | None = None, size: int = 0
) -> Record:
    """A record whose payload tells it apart."""
    payload = f"{offset}".encode().ljust(size, b"x")
    id = f"id{offset}"
    return Record(offset=offset, timestamp=0, kind=kind, channel=channel, id=id, payload=payload, audience=audience)


@dataclass
class Life:
    """One subscription, from its greeting to its end."""

    channel: str
    viewer: int
    since: Position | None
    session: Session
    socket: Socket
    #: Whether the log failed to reach back for this session.
    out_of_reach: list[str]
    left: bool = False

    @property
    def frames(self) -> list[Frame]:
        return [frame for frame in self.socket.received if frame.channel == self.channel]

    @property
    def position(self) -> Position | None:
        """Where its client would resume: None before the greeting."""
        frames = self.frames
        if not frames:
            return self.since
        epoch = next((f.epoch for f in reversed(frames) if f.epoch), "")
        return Position(epoch, max(f.offset for f in frames))


@dataclass
class World:
    """All of it. `partition` must be started."""

    partition: Partition
    #: Kafka offset below which the log is gone.
    reach: int = 0
    offset: int = 0
    time: int = 1_790_000_000_000
    #: Every publication by channel and epoch, by a fold of its own.
    published: dict[tuple[str, str], list[Publication]] = field(default_factory=lambda: defaultdict(list))
    lives: list[Life] = field(default_factory=list)
    open: dict[int, dict[str, Life]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._state = state()
        self._codecs = [Text(), Steps()]
        self._admits = [lambda audience, viewer=viewer: str(viewer).encode() in audience for viewer in range(VIEWERS)]

    # What happens.

    def publish(self, what: Sequence[tuple[str, bytes | None]]) -> Apply:
        """The message that publishes these (channel, audience)."""
        records = []
        for channel, audience in what:
            records.append(record(self.offset, channel, audience=audience))
            applied = apply(self._state, records[-1])
            assert isinstance(applied, Applied)
            self.published[channel, applied.epoch].append(Publication(records[-1], applied.offset))
            self.offset += 1
        return Apply(records=records)

    def tick(self, seconds: int) -> Apply:
        """The message that moves time."""
        self.time += 1000 * seconds
        tick = Record(offset=self.offset, timestamp=0, kind="tick", channel="", id="", time=self.time)
        apply(self._state, tick)
        self.offset += 1
        return Apply(records=[tick])

    async def join(self, client: int, channels: Sequence[str], *, resume: bool) -> None:
        """Connect a client and subscribe it, from where it last stood if it is to resume."""
        await self.leave(client)
        socket = Socket()
        failures: list[str] = []

        async def scan(gap: Gap) -> Sequence[Publication]:
            await asyncio.sleep(0)
            page = self._scan(gap)
            if not page:
                failures.append(gap.channel)
                raise OutOfReach
            return page

        session = Session(
            transport=socket,
            codec=self._codecs[client % 2],
            admits=self._admits[client % VIEWERS],
            partition=lambda _: self.partition,
            scan=scan,
        )
        socket.resumed = session.resumed
        lives = self.open[client] = {}
        for channel in channels:
            before = [life for life in self.lives if life.channel == channel and life.viewer == client]
            since = before[-1].position if before and resume else None
            lives[channel] = Life(channel, client, since, session, socket, failures)
            self.lives.append(lives[channel])
            await session.subscribe(channel, since=since, greet=greeting(channel))

    async def leave(self, client: int) -> None:
        """Disconnect a client."""
        for life in self.open.pop(client, {}).values():
            life.left = True
            await life.session.leave()

    def socket(self, client: int) -> Socket | None:
        """The socket of a connected client."""
        return next((life.socket for life in self.open.get(client, {}).values()), None)

    def _scan(self, gap: Gap) -> list[Publication]:
        """What of the gap is still in the log, a small page."""
        wanted = [p for p in self.published[gap.channel, gap.epoch] if p.offset > gap.since]
        assert wanted[0].record.offset < gap.before
        return (
            [p for p in wanted[:3] if self.reach <= p.record.offset < gap.before]
            if (wanted[0].record.offset >= self.reach)
            else []
        )

    async def settle(self) -> None:
        """Let every socket take all, and wait until every session stands at the top or is closed."""
        for client in self.open:
            if (socket := self.socket(client)) is not None:
                socket.drain(None)
        for _ in range(10_000):
            await self.partition.ask(Read(channel="a", since=None, limit=1))
            await asyncio.sleep(0)
            if not any(life.session.behind and not life.session.closed for life in self.lives):
                return
        raise AssertionError("a session never came to the top")

    # What must be true.

    def check(self, *, all_remembered: bool) -> None:
        """Every client saw exactly what it may see, once, in order, or was told that it cannot."""
        for life in self.lives:
            self._check(life, all_remembered)

    def _check(self, life: Life, all_remembered: bool) -> None:
        frames = life.frames
        if not frames:
            assert life.left or life.socket.closed
            return
        assert [f.what for f in frames].count("greeting") == 1
        greet = frames[0]
        assert greet.what == "greeting"
        self._check_greeting(life, greet, all_remembered)
        epoch = next((f.epoch for f in reversed(frames) if f.epoch), "")
        assert {f.epoch for f in frames[1:]} <= {"", epoch}
        assert greet.epoch == epoch or "-new-" in greet.epoch
        may_see = [
            p for p in self.published.get((life.channel, epoch), []) if p.offset > greet.offset and self._sees(life, p)
        ]
        saw = [f for f in frames if f.what == "pub"]
        assert [(f.offset, f.payload) for f in saw] == [
            (p.offset, p.record.payload.decode()) for p in may_see[: len(saw)]
        ]
        if not life.left and life.socket.closed is None:
            assert len(saw) == len(may_see)
        for before, frame in zip([None, *saw], saw, strict=False):
            assert not frame.base or (before is not None and frame.base == before.payload)
        self._check_notices(frames, [p.offset for p in may_see])
        if life.socket.closed is not None and all_remembered:
            assert life.socket.closed != closes.SLOW

    def _check_greeting(self, life: Life, greet: Frame, all_remembered: bool) -> None:
        since = life.since
        if greet.recovered:
            assert since is not None
            assert greet.offset == since.offset
            assert since.epoch in ("", greet.epoch) or "-new-" in since.epoch
        elif since is not None and since.epoch in ("", greet.epoch):
            assert life.channel in life.out_of_reach or (since.epoch == "" and since.offset > 0)
            assert not all_remembered or since.epoch == ""

    @staticmethod
    def _check_notices(frames: Sequence[Frame], may_see: Sequence[int]) -> None:
        """A notice claims that nothing up to its offset is still to come, and nothing before it was left out."""
        at = frames[0].offset
        for frame in frames[1:]:
            assert frame.offset > at or (frame.what == "position" and frame.offset == at == 0)
            if frame.what == "position":
                assert not [offset for offset in may_see if at < offset <= frame.offset]
            at = frame.offset

    @staticmethod
    def _sees(life: Life, publication: Publication) -> bool:
        audience = publication.record.audience
        return audience is None or str(life.viewer % VIEWERS).encode() in audience


def remember(size: int, ttl: int = 3600) -> Retention:
    """Retention for all channels of a test."""
    return Retention(size=size, ttl=ttl)
