"""History against a list, and on a real node beyond what it remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import channel as channels
from actors.channel import Publication, Retention
from actors.log import Position, Record
from actors.messages import Apply, Gap
from actors.partition import Partition
from actors.session import OutOfReach
from hub import channel_history
from hub.channel_history import Unrecoverable, place_at, read
from hub.namespaces import Namespaces
from settings import Settings
from tests.actors.world import state
from tests.examples import examples
from tests.hub.nodes import node, outside, prepare


class Short:
    """A partition that remembers little, over a log that begins at publication `begins` and gives `page` at a time."""

    def __init__(self, retention: Retention, begins: int, page: int) -> None:
        self._partition = Partition(0, state(), retention=lambda _: retention, budget=10**9)
        self._begins = begins
        self._page = page
        self.said: list[Publication] = []

    def partition(self, channel: str) -> Partition:
        return self._partition

    async def scan(self, gap: Gap) -> Sequence[Publication]:
        found = [p for p in self.said if p.offset > gap.since and p.record.offset < gap.before][: self._page]
        if gap.start is not None:
            if gap.start < self._begins - 1:
                raise OutOfReach
            return [p for p in self.said if gap.start <= p.record.offset < gap.before][:1]
        if not found or found[0].offset < self._begins:
            raise OutOfReach
        return found

    async def offset_at(self, channel: str, milliseconds: int) -> int | None:
        return next((p.record.offset for p in self.said if p.record.timestamp >= milliseconds), None)

    async def say(self, records: Sequence[Record]) -> None:
        await self._partition.ask(Apply(records=records))
        ours = [record for record in records if record.channel == "a"]
        self.said = [Publication(record, n) for n, record in enumerate(ours, 1)]


def record(at: int, restricted: bool = False, transient: bool = False, channel: str = "a") -> Record:
    return Record(
        offset=at,
        timestamp=at * 10,
        kind="publication",
        channel=channel,
        id=str(at),
        payload=b"x" * 10,
        audience=b"few" if restricted else None,
        transient=transient,
    )


def nobody(audience: bytes) -> bool:
    return False


@settings(max_examples=examples(300), deadline=None)
@given(
    said=st.integers(0, 40).flatmap(
        lambda count: st.lists(
            st.tuples(st.booleans(), st.sampled_from([False, False, True])), min_size=count, max_size=count
        )
    ),
    size=st.sampled_from([0, 1, 4, 12]),
    spare=st.sampled_from([0, 3]),
    begins=st.sampled_from([1, 1, 2, 7, 15, 30]),
    page=st.integers(1, 5),
    since=st.one_of(st.none(), st.integers(0, 12), st.integers(0, 41)),
    limit=st.one_of(st.none(), st.integers(0, 45)),
    most=st.sampled_from([3, 50]),
    reverse=st.booleans(),
    restricted=st.booleans(),
)
def test_history_is_the_list(
    said: list[tuple[bool, bool]],
    size: int,
    spare: int,
    begins: int,
    page: int,
    since: int | None,
    limit: int | None,
    most: int,
    reverse: bool,
    restricted: bool,
) -> None:
    async def run() -> list[int] | None:
        log = Short(Retention(size=size, ttl=60, spare=spare, spare_ttl=60), begins, page)
        async with log.partition("a"):
            await log.say([record(at, *one) for at, one in enumerate(said)])
            admits = nobody if restricted else None
            place = None if since is None else Position("", since)
            try:
                top, found = await read(log, "a", admits, since=place, limit=limit, reverse=reverse, most=most)
            except Unrecoverable:
                return None
            assert top.offset == len(said)
            return [publication.offset for publication in found]

    assert asyncio.run(run()) == model(said, size, spare, begins, since, limit, most, reverse, restricted)


def model(
    said: list[tuple[bool, bool]],
    size: int,
    spare: int,
    begins: int,
    since: int | None,
    limit: int | None,
    most: int,
    reverse: bool,
    restricted: bool,
) -> list[int] | None:
    last = len(said)
    if since is not None and since > last:
        return None
    readable = min(begins, last - max(size, spare) + 1)
    if since is None:
        numbers = range(max(1, last - size + 1), last + 1)
    elif reverse:
        numbers = range(max(1, readable), since)
    else:
        numbers = range(since + 1, last + 1)
    wanted = most if limit is None else min(limit, most)
    if wanted and since is not None and not reverse and since + 1 < readable and since < last:
        return None
    seen = [n for n in numbers if not said[n - 1][1] and not (restricted and said[n - 1][0])]
    return (seen[::-1] if reverse else seen)[:wanted]


@settings(max_examples=examples(200), deadline=None)
@given(
    said=st.lists(st.sampled_from("ab"), max_size=30),
    size=st.integers(0, 6),
    begins=st.sampled_from([1, 1, 5, 15]),
    moment=st.integers(0, 310),
)
def test_a_time_is_the_place_before_what_was_said_from_then_on(
    said: list[str], size: int, begins: int, moment: int
) -> None:
    async def run() -> int | None:
        log = Short(Retention(size=size, ttl=60), begins, 3)
        async with log.partition("a"):
            await log.say([record(at, channel=channel) for at, channel in enumerate(said)])
            try:
                return (await place_at(log, "a", moment)).offset
            except Unrecoverable:
                return None

    ours = [at for at, channel in enumerate(said) if channel == "a"]
    start = next((at for at in ours if at * 10 >= moment), None)
    found = asyncio.run(run())
    if found is None:
        kept = ours[len(ours) - size :] if size else []
        assert start is not None
        assert start < begins - 1
        assert start not in kept
    else:
        assert found == sum(at * 10 < moment for at in ours)


async def test_an_answer_ends_when_it_has_enough_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_history, "LARGEST_ANSWER", 35)
    monkeypatch.setattr(channels, "PAGE_BYTES", 20)
    log = Short(Retention(size=100, ttl=60), 1, 5)
    async with log.partition("a"):
        await log.say([record(at, False, False) for at in range(20)])
        how: dict[str, Any] = {"limit": None, "most": 100}
        _, found = await read(log, "a", None, since=Position("", 2), reverse=False, **how)
        assert [p.offset for p in found] == [3, 4, 5, 6]
        _, found = await read(log, "a", None, since=None, reverse=True, **how)
        assert [p.offset for p in found] == [20, 19, 18, 17]


async def test_a_place_in_another_life_of_the_channel_is_told() -> None:
    log = Short(Retention(size=100, ttl=60), 1, 5)
    async with log.partition("a"):
        top, _ = await read(log, "a", None, since=None, limit=0, reverse=False, most=9)
        assert (top.offset, top.epoch != "") == (0, True)
        await log.say([record(0, False, False)])
        assert (await read(log, "a", None, since=top, limit=None, reverse=False, most=9))[1][0].offset == 1
        with pytest.raises(Unrecoverable):
            await read(log, "a", None, since=Position("0badcafe-7", 0), limit=0, reverse=False, most=9)


async def test_a_node_finds_the_place_of_a_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Namespaces, "retention", lambda *_: Retention(size=10, ttl=3600))
    await prepare(settings)
    async with node(settings) as hub, outside(settings) as log:
        times = []
        for n in range(1, 31):
            await log.publications("other", [n], ids=[f"o{n}"])
            await log.publications("news", [n, n], ids=[f"a{n}", f"b{n}"])
            await hub.fold.settled("news", f"b{n}")
            _, (one, two) = await read(
                hub.fold, "news", None, since=Position("", 2 * n - 2), limit=2, reverse=False, most=2
            )
            assert one.record.timestamp <= two.record.timestamp
            times.append(one.record.timestamp)
            while time.time() * 1000 < two.record.timestamp + 1:
                await asyncio.sleep(0.001)
        for n in (1, 2, 15, 29, 30):
            assert (await place_at(hub.fold, "news", times[n - 1])).offset == 2 * n - 2
        assert (await place_at(hub.fold, "news", 0)).offset == 0
        assert (await place_at(hub.fold, "news", times[-1] + 3_600_000)).offset == 60
        assert (await place_at(hub.fold, "nothing", 0)).offset == 0


async def test_history_of_a_node_goes_on_in_the_log(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Namespaces, "retention", lambda *_: Retention(size=10, ttl=3600))
    await prepare(here)
    async with node(here) as hub, outside(here) as log:
        await log.publications("news", list(range(1, 601)), ids=[str(n) for n in range(1, 601)])
        await hub.fold.settled("news", "600")

        async def numbers(since: int | None, limit: int | None, reverse: bool = False) -> list[int]:
            place = None if since is None else Position("", since)
            _, found = await read(hub.fold, "news", None, since=place, limit=limit, reverse=reverse, most=1000)
            return [int(publication.record.payload) for publication in found]

        assert await numbers(None, None) == list(range(591, 601))
        assert await numbers(None, 3, reverse=True) == [600, 599, 598]
        assert await numbers(0, None) == list(range(1, 601))
        assert await numbers(300, 4) == [301, 302, 303, 304]
        assert await numbers(597, 7, reverse=True) == list(range(596, 589, -1))
        assert await numbers(4, None, reverse=True) == [3, 2, 1]
