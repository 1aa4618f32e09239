"""Sessions on a partition: whatever happens, each sees what it may see, once, in order, or is told that it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import delivery, log
from actors import partition as partition_module
from actors.channel import Publication
from actors.log import Position
from actors.messages import Apply, Gap, Read
from actors.partition import Partition
from actors.session import QUEUE_BYTES, AlreadySubscribed, OutOfReach, Scan, Session
from tests.actors.fakes import Socket, Text, greeting
from tests.actors.world import World, no_log, partition, record, remember
from tests.examples import examples

CLIENTS = 4
CHANNELS = ("a", "b", "c")

clients = st.integers(0, CLIENTS - 1)
publications = st.lists(
    st.tuples(st.sampled_from(CHANNELS), st.sampled_from([None, None, b"0", b"1", b"02", b""])), min_size=1, max_size=6
)
steps = st.one_of(
    st.tuples(st.just("publish"), publications),
    st.tuples(st.just("publish"), publications),
    st.tuples(st.just("publish and go on"), publications),
    st.tuples(st.just("join"), clients, st.sampled_from([("a",), ("a", "b"), CHANNELS])),
    st.tuples(st.just("resume"), clients, st.sampled_from([("a",), ("b", "a"), CHANNELS])),
    st.tuples(st.just("leave"), clients),
    st.tuples(st.just("room"), clients, st.sampled_from([0, 0, 1, 2, 5])),
    st.tuples(st.just("drain"), clients),
    st.tuples(st.just("tick"), st.sampled_from([1, 10, 100])),
    st.tuples(st.just("others"), st.integers(1, 5)),
)
losses = st.one_of(steps, steps, steps, steps, st.just(("month",)), st.just(("cut",)))


@contextmanager
def small() -> Iterator[None]:
    """Bounds that a test reaches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "CHANNELS", 3)
        patch.setattr(partition_module, "PAGE", 3)
        patch.setattr(partition_module, "BATCH_BYTES", 4)
        patch.setattr(partition_module, "WITHHELD", 3)
        patch.setattr(delivery, "WITHHELD", 3)
        yield


async def step(world: World, what: tuple[Any, ...]) -> None:
    match what:
        case ("publish", items):
            await world.partition.ask(world.publish(items))
        case ("publish and go on", items):
            world.partition.tell(world.publish(items))
        case ("join" | "resume" as how, client, channels):
            await world.join(client, channels, resume=how == "resume")
        case ("leave", client):
            await world.leave(client)
        case ("room", client, room):
            if (socket := world.socket(client)) is not None:
                socket.room = room
        case ("drain", client):
            if (socket := world.socket(client)) is not None:
                socket.drain(None)
        case ("tick", seconds):
            world.partition.tell(world.tick(seconds))
        case ("others", turns):
            for _ in range(turns):
                await asyncio.sleep(0)
        case ("month",):
            await world.partition.ask(world.tick(31 * 24 * 3600))
        case ("cut",):
            world.reach = world.offset


async def live_through(history: list[tuple[Any, ...]], *, size: int, budget: int) -> None:
    async with partition(remember(size), budget=budget) as actor:
        world = World(actor)
        for what in history:
            await step(world, what)
        await world.settle()
        world.check(all_remembered=size == 10_000)
        for client in list(world.open):
            await world.leave(client)
        assert actor.listeners == 0


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(steps, max_size=40))
def test_when_all_is_remembered_nobody_misses_anything(history: list[tuple[Any, ...]]) -> None:
    with small():
        asyncio.run(live_through(history, size=10_000, budget=10**9))


@settings(max_examples=examples(600), deadline=None)
@given(st.lists(losses, max_size=40), st.sampled_from([0, 1, 3, 8]))
def test_when_little_is_remembered_the_log_helps_or_the_session_is_told(
    history: list[tuple[Any, ...]], size: int
) -> None:
    with small():
        asyncio.run(live_through(history, size=size, budget=5_000))


def connect(actor: Partition, socket: Socket, scan: Scan = no_log) -> Session:
    session = Session(
        transport=socket, codec=Text(), admits=lambda audience: True, partition=lambda _: actor, scan=scan
    )
    socket.resumed = session.resumed
    return session


async def publish(actor: Partition, *offsets: int) -> None:
    await actor.ask(Apply(records=[record(offset) for offset in offsets]))


async def closed(actor: Partition, socket: Socket) -> tuple[int, str] | None:
    """How the session is closed, after it had its chance."""
    for _ in range(10):
        await actor.ask(Read(channel="a", since=None, limit=1))
        await asyncio.sleep(0)
    return socket.closed


async def test_a_slow_session_costs_a_cursor_and_goes_on_from_what_is_remembered() -> None:
    async with partition() as actor:
        await publish(actor, 0)
        slow, quick = Socket(room=2), Socket()
        for socket in slow, quick:
            await connect(actor, socket).subscribe("a", greet=greeting("a"))
        for offset in range(1, 100):
            await publish(actor, offset)
        assert len(slow.writes) == 2
        assert [f.offset for f in quick.received[1:]] == list(range(2, 101))
        slow.drain(None)
        assert await closed(actor, slow) is None
        assert slow.received == quick.received


async def test_a_slow_session_is_closed_when_memory_no_longer_reaches_back() -> None:
    async with partition(remember(5)) as actor:
        await publish(actor, 0)
        socket = Socket(room=2)
        session = connect(actor, socket)
        await session.subscribe("a", greet=greeting("a"))
        await publish(actor, *range(1, 3))
        await publish(actor, *range(3, 20))
        assert socket.closed is None
        socket.drain(None)
        assert await closed(actor, socket) == (3008, "slow")
        assert [f.offset for f in socket.received[1:]] == [2, 3]


async def test_a_resuming_session_reads_the_log_where_memory_does_not_reach() -> None:
    gaps: list[Gap] = []

    async def scan(gap: Gap) -> list[Publication]:
        gaps.append(gap)
        return [Publication(record(at - 1), at) for at in range(gap.since + 1, gap.since + 3)]

    async with partition(remember(5)) as actor:
        await publish(actor, *range(20))
        socket = Socket()
        await connect(actor, socket, scan).subscribe("a", since=Position("0badcafe-0", 9), greet=greeting("a"))
        assert await closed(actor, socket) is None
        assert [f.offset for f in socket.received[1:]] == list(range(10, 21))
        assert [gap.since for gap in gaps] == [9, 11, 13]
        assert {gap.before for gap in gaps} == {15}


async def test_a_resume_out_of_the_log_s_reach_begins_at_the_top_and_says_so() -> None:
    async with partition(remember(5)) as actor:
        await publish(actor, *range(20))
        socket = Socket()
        await connect(actor, socket).subscribe("a", since=Position("0badcafe-0", 9), greet=greeting("a"))
        await publish(actor, 20)
        assert [(f.what, f.offset, f.recovered) for f in socket.received] == [
            ("greeting", 20, False),
            ("pub", 21, False),
        ]


@pytest.mark.parametrize(
    ("failure", "close"),
    [(OutOfReach(), (3010, "insufficient state")), (RuntimeError("broken"), (3004, "internal server error"))],
)
async def test_a_scan_that_fails_on_the_way_closes_the_session(failure: Exception, close: tuple[int, str]) -> None:
    async def scan(gap: Gap) -> list[Publication]:
        if gap.since > 9:
            raise failure
        return [Publication(record(9), 10)]

    async with partition(remember(5)) as actor:
        await publish(actor, *range(20))
        socket = Socket()
        await connect(actor, socket, scan).subscribe("a", since=Position("0badcafe-0", 9), greet=greeting("a"))
        assert await closed(actor, socket) == close


async def test_replies_wait_for_room_in_their_order_before_publications() -> None:
    async with partition() as actor:
        await publish(actor, 0)
        socket = Socket(room=0)
        session = connect(actor, socket)
        session.send(b"<pong|a||0|1|False>")
        await session.subscribe("a", greet=greeting("a"))
        session.send(b"<pong|a||0|2|False>")
        await publish(actor, 1)
        socket.room = None
        await publish(actor, 2)  # the session has not been told yet that there is room
        assert not socket.writes
        socket.drain(None)
        assert await closed(actor, socket) is None
        assert [(f.what, f.offset) for f in socket.received] == [
            ("pong", 0),
            ("greeting", 1),
            ("pong", 0),
            ("pub", 2),
            ("pub", 3),
        ]


async def test_nothing_overtakes_a_reply_that_still_waits() -> None:
    async with partition() as actor:
        await publish(actor, 0)
        socket = Socket(room=1)
        session = connect(actor, socket)
        await session.subscribe("a", greet=greeting("a"))
        for at in range(3):
            session.send(b"<pong|a||%d||False>" % at)
        socket.drain(1)
        await asyncio.sleep(0)
        socket.room = None
        await publish(actor, 1)  # the session has not been told yet that there is room
        socket.drain(None)
        assert await closed(actor, socket) is None
        assert [(f.what, f.offset) for f in socket.received] == [
            ("greeting", 1),
            ("pong", 0),
            ("pong", 1),
            ("pong", 2),
            ("pub", 2),
        ]


async def test_replies_nobody_reads_close_the_session() -> None:
    async with partition() as actor:
        socket = Socket(room=1)
        session = connect(actor, socket)
        for _ in range(QUEUE_BYTES // 1024 + 1):
            session.send(b"x" * 1024)
        before = socket.closed
        session.send(b"x")
        assert (before, socket.closed) == (None, (3008, "slow"))
        socket.drain(None)
        assert await closed(actor, socket)
        assert len(socket.writes) == 1


async def test_a_session_whose_channel_was_forgotten_while_it_was_slow_is_told() -> None:
    async with partition() as actor:
        world = World(actor)
        await actor.ask(world.publish([("a", None)]))
        await actor.ask(world.tick(0))
        socket = Socket(room=1)
        await connect(actor, socket).subscribe("a", greet=greeting("a"))
        await actor.ask(world.publish([("a", None)]))
        await actor.ask(world.tick(31 * 24 * 3600))
        socket.drain(None)
        assert await closed(actor, socket) == (3010, "insufficient state")


async def test_nothing_follows_an_unsubscribe_or_a_close() -> None:
    async with partition() as actor:
        left, shut = Socket(), Socket()
        leaver, closer = connect(actor, left), connect(actor, shut)
        for session in leaver, closer:
            await session.subscribe("a", greet=greeting("a"))
        await leaver.unsubscribe("a")
        closer.close(3005, "connection expired")
        closer.close(3000, "too late")
        await publish(actor, 0)
        assert (len(left.writes), len(shut.writes)) == (1, 1)
        assert shut.closed == (3005, "connection expired")
        await closer.leave()
        assert actor.listeners == 0
        await leaver.subscribe("a", greet=greeting("a"))
        with pytest.raises(AlreadySubscribed):
            await leaver.subscribe("a", greet=greeting("a"))
        await leaver.leave()
        await leaver.leave()
        assert actor.listeners == 0


async def test_leaving_in_the_middle_of_a_scan_ends_it() -> None:
    scanning = asyncio.Event()

    async def scan(gap: Gap) -> list[Publication]:
        if gap.since == 9:
            return [Publication(record(9), 10)]
        scanning.set()
        await asyncio.Event().wait()
        return []

    async with partition(remember(5)) as actor:
        await publish(actor, *range(20))
        session = connect(actor, Socket(), scan)
        await session.subscribe("a", since=Position("0badcafe-0", 9), greet=greeting("a"))
        await scanning.wait()
        await session.leave()
        assert actor.listeners == 0


async def test_a_session_whose_partition_stops_is_closed_and_can_leave() -> None:
    async with partition() as actor:
        socket = Socket(room=1)
        session = connect(actor, socket)
        await session.subscribe("a", greet=greeting("a"))
        await publish(actor, 0)
    socket.drain(None)
    for _ in range(5):
        await asyncio.sleep(0)
    assert socket.closed == (3001, "shutdown")
    await session.leave()
