"""A partition: what each message does, and how frames reach the sessions."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.channel import Retention
from actors.kernel import ActorStopped
from actors.log import CHANNEL_LIFE, Hole, Position, Record
from actors.messages import Apply, Folded, Gap, Page, Read, Settled, Snapshot, TakeSnapshot
from actors.partition import LAGS, Partition
from actors.session import Session
from actors.snapshot import decode
from tests.actors.fakes import Frame, Socket, Text, greeting
from tests.actors.world import no_log, partition, record

NOW = 1_790_000_000_000


def join(actor: Partition, socket: Socket, codec: Text, *, sees: bytes = b"") -> Session:
    session = Session(
        transport=socket,
        codec=codec,
        admits=lambda audience: audience == sees,
        partition=lambda _: actor,
        scan=no_log,
    )
    socket.resumed = session.resumed
    return session


async def publish(actor: Partition, *records: Record) -> Folded:
    return await actor.ask(Apply(records=records))


def tick(offset: int, time: int) -> Record:
    return Record(offset=offset, timestamp=0, kind="tick", channel="", id="", time=time)


async def test_one_batch_is_one_write_of_bytes_that_all_sessions_share() -> None:
    codec = Text()
    async with partition() as actor:
        sockets = [Socket() for _ in range(5)]
        for socket in sockets:
            await join(actor, socket, codec).subscribe("a", greet=greeting("a"))
        await publish(actor, *[record(at) for at in range(10)])
        assert [len(socket.writes) for socket in sockets] == [2 + 1] * 5  # greeting, the epoch, the batch
        assert all(socket.writes[-1] is sockets[0].writes[-1] for socket in sockets)
        assert codec.encoded == 10
        assert actor.deliveries == 5


async def test_what_is_due_on_several_channels_is_one_write_too() -> None:
    async with partition() as actor:
        await publish(actor, record(0, "a"), record(1, "b"), record(2, "c"))
        both, one = Socket(), Socket()
        session = join(actor, both, Text())
        await session.subscribe("a", greet=greeting("a"))
        await session.subscribe("b", greet=greeting("b"))
        await join(actor, one, Text()).subscribe("b", greet=greeting("b"))
        await publish(actor, record(3, "a"), record(4, "b"), record(5, "a"), record(6, "c"))
        assert len(both.writes) == 3
        assert [(f.channel, f.offset) for f in both.received[2:]] == [("a", 2), ("a", 3), ("b", 2)]
        assert len(one.writes) == 2


async def test_those_who_may_see_the_same_share_the_bytes() -> None:
    codec = Text()
    async with partition() as actor:
        await publish(actor, record(0))
        sockets = [Socket() for _ in range(4)]
        for at, socket in enumerate(sockets):
            await join(actor, socket, codec, sees=b"xyxy"[at : at + 1]).subscribe("a", greet=greeting("a"))
        await publish(actor, record(1), record(2, audience=b"x"), record(3, audience=b"y"), record(4))
        assert sockets[0].writes[-1] is sockets[2].writes[-1]
        assert [f.offset for f in sockets[0].received[1:]] == [2, 3, 5]
        assert [f.offset for f in sockets[1].received[1:]] == [2, 4, 5]
        assert codec.encoded == 4


async def test_who_sees_nothing_for_long_is_told_where_it_stands() -> None:
    async with partition() as actor:
        await publish(actor, record(0))
        socket = Socket()
        await join(actor, socket, Text()).subscribe("a", greet=greeting("a"))
        for at in range(1, 251):
            await publish(actor, record(at, audience=b"others"))
        assert socket.received[1:] == [
            Frame("position", "a", "0badcafe-0", 101),
            Frame("position", "a", "0badcafe-0", 201),
        ]


async def test_a_resume_that_ends_in_what_it_may_not_see_ends_with_its_position() -> None:
    async with partition() as actor:
        await publish(actor, record(0), record(1), *[record(at, audience=b"others") for at in range(2, 9)])
        socket = Socket()
        session = join(actor, socket, Text())
        await session.subscribe("a", since=Position("0badcafe-0", 1), greet=greeting("a"))
        await actor.ask(Read(channel="a", since=None, limit=1))
        assert socket.received == [
            Frame("greeting", "a", "0badcafe-0", 1, recovered=True),
            Frame("pub", "a", "", 2, "1"),
            Frame("position", "a", "0badcafe-0", 9),
        ]


async def test_a_client_that_was_first_learns_the_epoch_with_the_first_publication() -> None:
    async with partition() as actor:
        socket = Socket()
        await join(actor, socket, Text()).subscribe("a", greet=greeting("a"))
        await publish(actor, record(7))
        assert socket.received == [
            Frame("greeting", "a", "0badcafe-new-0"),
            Frame("position", "a", "0badcafe-7", 0),
            Frame("pub", "a", "", 1, "7"),
        ]


@pytest.mark.parametrize(
    ("since", "recovered", "offset"),
    [
        (None, False, 3),
        (Position("0badcafe-0", 3), True, 3),
        (Position("0badcafe-0", 1), True, 1),
        (Position("0badcafe-0", 0), True, 0),
        (Position("", 2), True, 2),
        (Position("0badcafe-0", 4), False, 3),
        (Position("", 4), False, 3),
        (Position("0badcafe-1", 1), False, 3),
        (Position("feedf00d-0", 1), False, 3),
        (Position("0badcafe-new-0", 2), True, 2),
        (Position("0badcafe-new-1", 2), False, 3),
        (Position("0badcafe-new-", 2), False, 3),
        (Position("feedf00d-new-0", 2), False, 3),
    ],
)
async def test_a_position_is_recovered_if_it_is_one_of_this_channel(
    since: Position | None, recovered: bool, offset: int
) -> None:
    async with partition() as actor:
        await publish(actor, *[record(at) for at in range(3)])
        socket = Socket()
        subscribed = await join(actor, socket, Text()).subscribe("a", since=since, greet=greeting("a"))
        assert (subscribed.epoch, subscribed.offset, subscribed.recovered) == ("0badcafe-0", offset, recovered)
        assert socket.received[0] == Frame("greeting", "a", "0badcafe-0", offset, recovered=recovered)


async def test_a_channel_that_is_not_made_yet_has_only_its_beginning() -> None:
    async with partition() as actor:
        session = join(actor, Socket(), Text())
        assert (await session.subscribe("a", since=Position("", 0), greet=greeting("a"))).recovered
        assert not (await session.subscribe("b", since=Position("0badcafe-0", 0), greet=greeting("b"))).recovered
        assert not (await session.subscribe("c", since=Position("", 1), greet=greeting("c"))).recovered


async def test_a_channel_that_begins_anew_in_mid_batch_tells_its_subscribers_and_keeps_the_lives_apart() -> None:
    async with partition(Retention(size=10, ttl=10**9)) as actor:
        await publish(actor, record(0), tick(1, NOW))
        socket = Socket()
        await join(actor, socket, Text()).subscribe("a", greet=greeting("a"))
        await publish(actor, record(2), tick(3, NOW + CHANNEL_LIFE + 1), record(4), record(5))
        assert [f.payload for f in socket.received if f.what == "pub"] == ["2"]
        assert socket.closed == (3010, "insufficient state")
        page = await actor.ask(Read(channel="a", since=Position("", 0), limit=10))
        assert page.top == Position("0badcafe-4", 2)
        assert [p.record.offset for p in page.publications] == [4, 5]


async def test_a_hole_is_told_once_for_each_mark() -> None:
    async with partition() as actor:
        numbered = [
            Record(offset=at, timestamp=0, kind="frame", channel="a", id="", n=n)
            for at, n in enumerate([1, 3, 4, 2, 5, 6])
        ]
        assert await publish(actor, *numbered[:2]) == Folded(next=2, mark=1, hole=Hole(1, 3))
        assert await publish(actor, numbered[2]) == Folded(next=3, mark=1, hole=None)
        assert await publish(actor, numbered[3]) == Folded(next=4, mark=2, hole=None)
        assert await publish(actor, *numbered[4:]) == Folded(next=6, mark=2, hole=Hole(2, 5))


async def test_a_publish_is_answered_when_it_is_folded_and_a_repeat_with_the_first() -> None:
    async with partition() as actor:
        early = asyncio.create_task(actor.ask(Settled(channel="a", id="id5")))
        also = asyncio.create_task(actor.ask(Settled(channel="a", id="id5")))
        with pytest.raises(TimeoutError):
            await actor.ask(Settled(channel="b", id="id5"), timeout=0.001)
        await publish(actor, record(5))
        assert await early == await also == Position("0badcafe-5", 1)
        repeat = Record(offset=6, timestamp=0, kind="publication", channel="a", id="id5")
        assert (await publish(actor, repeat)).next == 7
        assert await actor.ask(Settled(channel="a", id="id5")) == Position("0badcafe-5", 1)
        never = asyncio.create_task(actor.ask(Settled(channel="a", id="never")))
        await asyncio.sleep(0)
    with pytest.raises(ActorStopped):
        await never
    assert not actor._settling


async def test_reading_says_where_memory_begins() -> None:
    async with partition(Retention(size=3, ttl=60)) as actor:
        assert await actor.ask(Read(channel="a", since=None, limit=10)) == Page(
            top=Position("0badcafe-new-0", 0), publications=(), gap=None
        )
        await publish(actor, *[record(10 + at) for at in range(8)])
        page = await actor.ask(Read(channel="a", since=None, limit=2))
        assert [p.offset for p in page.publications] == [6, 7]
        assert page.top == Position("0badcafe-10", 8)
        page = await actor.ask(Read(channel="a", since=Position("", 4), limit=2))
        assert page.gap == Gap(channel="a", epoch="0badcafe-10", since=4, before=15)
        assert not page.publications
        assert not (await actor.ask(Read(channel="a", since=Position("", 8), limit=2))).publications


async def test_a_partition_goes_on_from_a_snapshot_and_reads_again_what_was_remembered() -> None:
    records = [record(at, "ab"[at % 2]) for at in range(20)]
    async with partition(Retention(size=3, ttl=60)) as first:
        await publish(first, *records[:12])
        shot = await first.ask(TakeSnapshot())
        await publish(first, *records[12:])
        expected = [await first.ask(Read(channel=c, since=None, limit=10)) for c in "ab"]
    assert isinstance(shot, Snapshot)
    assert (shot.next, shot.timestamp) == (12, 0)
    restored = decode(shot.state)
    second = Partition(
        0, restored.state, retention=lambda _: Retention(size=3, ttl=60), budget=10**6, remembered=restored.remembered
    )
    async with second:
        assert second.read_from == 6
        await publish(second, *records[6:9])
        page = await second.ask(Read(channel="a", since=Position("", 5), limit=10))
        assert page.gap is not None
        await publish(second, *records[9:])
        again = [await second.ask(Read(channel=c, since=None, limit=10)) for c in "ab"]
    for page, before in zip(again, expected, strict=True):
        assert page.top == before.top
        assert [p.record for p in page.publications] == [p.record for p in before.publications]


async def test_what_is_delivered_is_counted() -> None:
    codec = Text()
    async with partition() as actor:
        keeps_up, full = Socket(), Socket(room=1)
        for socket in (keeps_up, full):
            await join(actor, socket, codec).subscribe("a", greet=greeting("a"))
        await publish(actor, record(0), record(1), record(2))
        assert (actor.listeners, actor.standing.live, actor.standing.behind, actor.standing.fell) == (2, 1, 1, 1)
        written = [data for socket in (keeps_up, full) for data in socket.writes]
        assert codec.sent.bytes == sum(map(len, written))
        assert codec.sent.messages == sum(data.count(b"<") for data in written)
        full.drain(room=None)
        async with asyncio.timeout(10):
            while actor.standing.behind:
                await asyncio.sleep(0)
        written = [data for socket in (keeps_up, full) for data in socket.writes]
        assert codec.sent.bytes == sum(map(len, written))
        assert codec.sent.messages == sum(data.count(b"<") for data in written)
        assert (actor.standing.live, actor.standing.fell) == (2, 1)


async def test_lag_is_counted_once_for_each_publication_that_somebody_got_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.partition.time.time", lambda: 1000.0)
    async with partition() as actor:
        for _ in range(3):
            await join(actor, Socket(), Text()).subscribe("a", greet=greeting("a"))
        ages = {0: 0.3, 1: 0.004, 2: 0.005, 3: -7.0, 4: 99.0}
        logged = [replace(record(at), timestamp=round(1000 * (1000 - age))) for at, age in ages.items()]
        await publish(actor, *logged, replace(record(5, "nobody"), timestamp=0))
        counts = dict(zip([*LAGS, None], actor.lag.counts, strict=True))
        assert {bound: count for bound, count in counts.items() if count} == {0.001: 1, 0.005: 2, 0.5: 1, None: 1}
        assert actor.lag.sum == pytest.approx(0.3 + 0.004 + 0.005 + 99)
