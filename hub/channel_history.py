"""Reading what was said in a channel, forwards or backwards, from memory and from the log behind it.

Without a place to begin at, what is read is the channel's history as its namespace keeps it. With one it goes as far
as the log does: a page at a time, so that memory stays flat however much lies between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from actors.channel import Publication
from actors.delivery import Admits
from actors.log import Position
from actors.messages import Gap, Locate, Page, Read
from actors.partition import PAGE, Partition
from actors.session import OutOfReach

#: An answer ends with the publication that brings its payloads to this many bytes; the reader goes on from there.
LARGEST_ANSWER = 8 * 1024 * 1024


class Log(Protocol):
    """What is read: the actors that own the channels, and the log where their memory ends (hub/fold.py)."""

    def partition(self, channel: str) -> Partition:
        """The actor that owns a channel."""

    async def scan(self, gap: Gap) -> Sequence[Publication]:
        """A page of what a channel said before memory begins. Raises OutOfReach or ScanError."""

    async def offset_at(self, channel: str, milliseconds: int) -> int | None:
        """Kafka offset of the first record from this Unix time on, in a channel's partition; None if there is none."""


class Unrecoverable(Exception):
    """The place to begin at is in another life of the channel, or the log no longer reaches back to it."""


async def read(
    log: Log,
    channel: str,
    admits: Admits | None,
    *,
    since: Position | None,
    limit: int | None,
    reverse: bool,
    most: int,
) -> tuple[Position, list[Publication]]:
    """Where the channel stands, and at most `limit` and `most` publications from `since` on, itself excluded.

    None as `limit` is all of them, None as `since` the beginning of the channel's history, or in reverse its top.
    `admits` tells which may be seen; without it all may. Going back ends where the log does. Raises Unrecoverable,
    ScanError or ActorStopped.
    """
    stretch = _Stretch(log, channel)
    here = await stretch.page(since, 0)
    wanted = _Wanted(admits, most if limit is None else min(limit, most))
    if not wanted.full:
        after = since.offset if since is not None else await stretch.beginning(here.top)
        if not reverse:
            await _forwards(stretch, here.top, after, wanted)
        elif since is not None:
            await _backwards(stretch, here.top, 0, since.offset - 1, wanted)
        else:
            await _backwards(stretch, here.top, after, here.top.offset, wanted)
    return here.top, wanted.found


async def place_at(log: Log, channel: str, milliseconds: int) -> Position:
    """The place before what a channel said from this Unix time on, by the clocks of whoever put it on the log.

    Raises Unrecoverable, ScanError, KafkaError or ActorStopped.
    """
    start = await log.offset_at(channel, milliseconds)
    if start is None:
        return (await _Stretch(log, channel).page(None, 0)).top
    owner = log.partition(channel)
    place = await owner.ask(Locate(channel=channel, start=start))
    if isinstance(place, Position):
        return place
    try:
        found = await log.scan(place)
    except OutOfReach:
        raise Unrecoverable from None
    if found:
        return Position(place.epoch, found[0].offset - 1)
    place = await owner.ask(Locate(channel=channel, start=start, scanned=True))
    assert isinstance(place, Position)
    return place


async def _forwards(stretch: _Stretch, top: Position, after: int, wanted: _Wanted) -> None:
    try:
        async for page in stretch.pages(top.epoch, after, top.offset):
            wanted.take(page)
            if wanted.full:
                return
    except OutOfReach:
        raise Unrecoverable from None


async def _backwards(stretch: _Stretch, top: Position, after: int, until: int, wanted: _Wanted) -> None:
    """Read windows below one another, each forwards: that is the only way a log can be read."""
    size = min(wanted.room, PAGE)
    while until > after and not wanted.full:
        window: list[Publication] = []
        low = max(after, until - size)
        try:
            async for page in stretch.pages(top.epoch, low, until):
                window += page
        except OutOfReach:
            if until - low == 1:
                return
            size = (until - low) // 2
            continue
        wanted.take(reversed(window))
        until = low


class _Wanted:
    """What was found of what is wanted."""

    def __init__(self, admits: Admits | None, limit: int) -> None:
        self.found: list[Publication] = []
        self._admits = admits
        self._limit = limit
        self._size = 0

    @property
    def room(self) -> int:
        """How many more are wanted."""
        return 0 if self._size >= LARGEST_ANSWER else max(0, self._limit - len(self.found))

    @property
    def full(self) -> bool:
        """Whether no more are."""
        return not self.room

    def take(self, page: Iterable[Publication]) -> None:
        """Take those of a page that may be seen."""
        for publication in page:
            if self.full:
                return
            record = publication.record
            seen = record.audience is None or self._admits is None or self._admits(record.audience)
            if seen and not record.transient:
                self.found.append(publication)
                self._size += len(record.payload)


class _Stretch:
    """One channel, wherever its publications are."""

    def __init__(self, log: Log, channel: str) -> None:
        self._log = log
        self._channel = channel

    async def page(self, since: Position | None, limit: int) -> Page:
        """What memory has. Raises Unrecoverable."""
        page = await self._log.partition(self._channel).ask(Read(channel=self._channel, since=since, limit=limit))
        if not page.reached:
            raise Unrecoverable
        return page

    async def beginning(self, top: Position) -> int:
        """Number of the publication before the channel's history."""
        page = await self.page(None, 1)
        return page.publications[0].offset - 1 if page.publications else top.offset

    async def pages(self, epoch: str, after: int, until: int) -> AsyncIterator[Sequence[Publication]]:
        """The publications after one number until another, in order. Raises Unrecoverable, OutOfReach or ScanError."""
        while after < until:
            page = await self.page(Position(epoch, after), PAGE)
            found = page.publications if page.gap is None else await self._log.scan(page.gap)
            after = found[-1].offset
            yield [publication for publication in found if publication.offset <= until]
