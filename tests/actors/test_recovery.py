"""Recovery in one answer: all a client missed and may see, or nothing of it; then what follows, once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.channel import Publication
from actors.log import Position
from actors.messages import Apply, Gap, Subscribed
from actors.partition import Partition
from actors.session import OutOfReach, Session
from tests.actors.fakes import Frame, Socket, Steps, Text
from tests.actors.world import no_log, partition, record, remember
from tests.examples import examples

audiences = st.sampled_from([None, None, b"me", b"you"])


class Log:
    """What was published on a channel, and how far back Kafka still has it."""

    def __init__(self, actor: Partition, reach: int) -> None:
        self.actor = actor
        self.reach = reach
        self.published: list[Publication] = []

    def publish(self, audience: bytes | None) -> Apply:
        at = len(self.published)
        made = record(at, audience=audience)
        self.published.append(Publication(made, at + 1))
        return Apply(records=[made])

    def visible(self, after: int) -> list[int]:
        """Numbers after this one that may be seen."""
        return [p.offset for p in self.published[after:] if p.record.audience in (None, b"me")]


async def recovered(
    before: Sequence[bytes | None], during: Sequence[bytes | None], size: int, reach: int, since: Position, limit: int
) -> None:
    async with partition(remember(size)) as actor:
        log = Log(actor, reach)
        for audience in before:
            await actor.ask(log.publish(audience))
        coming = list(during)
        out_of_reach = []

        async def scan(gap: Gap) -> Sequence[Publication]:
            if coming:
                actor.tell(log.publish(coming.pop()))
            await asyncio.sleep(0)
            assert gap.since < gap.before
            if gap.since < log.reach:
                out_of_reach.append(gap)
                raise OutOfReach
            return log.published[gap.since : min(gap.since + 3, gap.before)]

        answers: list[Subscribed] = []

        def greet(subscribed: Subscribed) -> bytes:
            answers.append(subscribed)
            return Frame("greeting", "a", subscribed.epoch, subscribed.offset, "", subscribed.recovered).bytes()

        socket = Socket()
        session = Session(
            transport=socket, codec=Steps(), admits=lambda a: a == b"me", partition=lambda _: actor, scan=scan
        )
        told = await session.recover("a", since=since, limit=limit, greet=greet)
        top = len(log.published)
        for audience in (None, b"you", b"me"):
            await actor.ask(log.publish(audience))
        assert answers == [told]
        known = since.offset <= top and since.epoch in ("", "0badcafe-0")
        missed = [n for n in log.visible(since.offset) if n <= top]
        assert told.recovered == (known and len(missed) <= limit and not out_of_reach) or coming != list(during)
        if told.recovered:
            assert known
            start = told.publications[-1].offset if told.publications else told.offset
            assert [p.offset for p in told.publications] == [n for n in log.visible(since.offset) if n <= start]
            assert len(told.publications) <= limit
            assert told.offset == (since.offset if told.publications else told.offset)
            after = start
        else:
            assert not told.publications
            after = told.offset
        followed = [f for f in socket.received if f.what == "pub"]
        assert [f.offset for f in followed] == log.visible(after)
        has = told.publications[-1].record.payload.decode() if told.publications else None
        for frame in followed:
            assert frame.base in ("", has)
            has = frame.payload
        await session.leave()
        assert actor.listeners == 0


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(audiences, min_size=1, max_size=25),
    st.lists(audiences, max_size=4),
    st.sampled_from([0, 1, 3, 100]),
    st.sampled_from([0, 0, 5]),
    st.builds(Position, st.sampled_from(["", "0badcafe-0", "0badcafe-0", "0badcafe-7"]), st.integers(0, 26)),
    st.sampled_from([0, 2, 5, 300]),
)
def test_all_that_was_missed_or_nothing(
    before: list[bytes | None], during: list[bytes | None], size: int, reach: int, since: Position, limit: int
) -> None:
    asyncio.run(recovered(before, during, size, reach, since, limit))


async def test_a_channel_that_begins_anew_is_told_and_can_be_subscribed_again() -> None:
    lost: list[str] = []
    async with partition() as actor:
        await actor.ask(Apply(records=[record(0)]))
        session = Session(
            transport=Socket(),
            codec=Text(),
            admits=lambda _: True,
            partition=lambda _: actor,
            scan=_none,
            lost=lost.append,
        )
        first = await session.subscribe("a", greet=lambda _: b"")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("actors.log.CHANNELS", 1)
            await actor.ask(Apply(records=[record(1, "b"), record(2, "a")]))
        assert lost == ["a"]
        assert not session.closed
        again = await session.recover("a", since=Position(first.epoch, first.offset), limit=10, greet=lambda _: b"")
        assert (again.recovered, again.epoch) == (False, "0badcafe-2")
        await session.leave()


async def _none(gap: Gap) -> Sequence[Publication]:
    raise OutOfReach


async def test_what_is_in_no_history_is_passed_over() -> None:
    async with partition() as actor:
        said = [replace(record(at), transient=at in (1, 3)) for at in range(4)]
        await actor.ask(Apply(records=said))
        socket = Socket()
        session = Session(transport=socket, codec=Text(), admits=lambda _: True, partition=lambda _: actor, scan=no_log)
        told = await session.recover("a", since=Position("", 0), limit=10, greet=lambda _: b"")
        assert (told.recovered, [p.offset for p in told.publications]) == (True, [1, 3])
        await actor.ask(Apply(records=[replace(record(4), transient=True)]))
        assert [frame.offset for frame in socket.received if frame.what == "pub"] == [5]
        await session.leave()
