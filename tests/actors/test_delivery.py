"""What follows the publication before: who is told a step, and who the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actors.channel import Retention
from actors.log import Position, Record
from actors.messages import Apply
from actors.partition import Partition
from actors.session import Session
from tests.actors.fakes import Socket, Steps, Text, greeting
from tests.actors.world import no_log, partition, record, remember


def connect(actor: Partition, codec: Text, room: int | None = None) -> tuple[Session, Socket]:
    socket = Socket(room)
    session = Session(
        transport=socket, codec=codec, admits=lambda a: a == b"me", partition=lambda _: actor, scan=no_log
    )
    socket.resumed = session.resumed
    return session, socket


async def publish(actor: Partition, *records: Record) -> None:
    await actor.ask(Apply(records=records))


def told(socket: Socket) -> list[tuple[str, str]]:
    """The publications a session got, each with what it was a step from."""
    return [(frame.payload, frame.base) for frame in socket.received if frame.what == "pub"]


async def test_steps_follow_the_first_and_are_made_once_for_all() -> None:
    steps = Steps()
    async with partition() as actor:
        await publish(actor, record(0))
        sockets = []
        for joined in range(5):
            session, socket = connect(actor, steps)
            await session.subscribe("a", greet=greeting("a"))
            sockets.append((joined, socket))
            await publish(actor, *[record(10 * joined + n) for n in (1, 2, 3)])
        for joined, socket in sockets:
            numbers = [10 * round + n for round in range(joined, 5) for n in (1, 2, 3)]
            steps_from = ["", *map(str, numbers[:-1])]
            assert told(socket) == list(zip(map(str, numbers), steps_from, strict=True))
        assert (steps.encoded, steps.following.encoded) == (5, 14)


async def test_what_was_withheld_is_followed_by_the_whole() -> None:
    async with partition() as actor:
        session, socket = connect(actor, Steps())
        await session.subscribe("a", greet=greeting("a"))
        audiences = [None, b"me", b"you", b"me", None, b"you", b"you", None, b"me"]
        for at, audience in enumerate(audiences[:5]):
            await publish(actor, record(at, audience=audience))
        await publish(actor, *[record(at, audience=audience) for at, audience in enumerate(audiences)][5:])
        assert told(socket) == [("0", ""), ("1", "0"), ("3", ""), ("4", "3"), ("7", ""), ("8", "7")]


async def test_a_slow_session_goes_on_from_what_it_has() -> None:
    async with partition() as actor:
        await publish(actor, record(0))
        session, socket = connect(actor, Steps(), room=3)
        await session.subscribe("a", greet=greeting("a"))
        for at in range(1, 7):
            await publish(actor, record(at))
        assert told(socket) == [("1", ""), ("2", "1")]
        socket.drain(None)
        while session.behind:
            await publish(actor)
        await publish(actor, record(7))
        assert told(socket) == [("1", ""), *((str(at), str(at - 1)) for at in range(2, 8))]


@pytest.mark.parametrize(
    ("last", "since", "base"),
    [
        (record(1), 0, "1"),
        (record(1), 1, "1"),
        (record(1), 2, ""),
        (replace(record(1), transient=True), 0, ""),
        (record(1, audience=b"you"), 0, ""),
    ],
)
async def test_what_a_reply_carried_is_followed_by_a_step_if_it_is_the_last(
    last: Record, since: int, base: str
) -> None:
    async with partition() as actor:
        await publish(actor, record(0), last)
        session, socket = connect(actor, Steps())
        await session.recover("a", since=Position("", since), limit=10, greet=greeting("a"))
        await publish(actor, record(2))
        assert told(socket) == [("2", base)]


async def test_what_is_forgotten_is_no_base() -> None:
    async with partition(Retention(size=0, ttl=0, spare=1, spare_ttl=60)) as actor:
        session, socket = connect(actor, Steps())
        await session.subscribe("a", greet=greeting("a"))
        await publish(actor, record(0), record(1))
        await publish(actor, record(2))
        assert told(socket) == [("0", ""), ("1", "0"), ("2", "")]


async def test_a_subscription_may_have_a_codec_of_its_own() -> None:
    async with partition(remember(10)) as actor:
        session, socket = connect(actor, Text())
        await session.subscribe("a", greet=greeting("a"), codec=Steps())
        await session.subscribe("b", greet=greeting("b"))
        for at in range(4):
            await publish(actor, record(at, "ab"[at % 2]))
        assert told(socket) == [("0", ""), ("1", ""), ("2", "0"), ("3", "")]


async def test_who_was_full_before_the_first_has_nothing_to_step_from() -> None:
    async with partition() as actor:
        await publish(actor, record(0))
        session, socket = connect(actor, Steps(), room=1)
        await session.subscribe("a", greet=greeting("a"))
        await publish(actor, record(1))
        await publish(actor, record(2))
        assert told(socket) == []
        socket.drain(None)
        while session.behind:
            await publish(actor)
        await publish(actor, record(3))
        assert told(socket) == [("1", ""), ("2", "1"), ("3", "2")]
