"""What a node remembers of its channels: publications with their ready frames, within a budget.

Nothing here decides a number; two nodes may remember different stretches of the same log.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from actors.log import Record
from actors.traffic import Traffic

#: A page of history ends with the publication that brings its payloads to this many bytes.
PAGE_BYTES = 256 * 1024

#: What a remembered publication costs beside its payload, headers and frames, in bytes (as tracemalloc sees it).
OVERHEAD = 890


class Encoder(Protocol):
    """Makes bytes of a publication that are kept with it, once for all who need them.

    Never raises: whatever stands in the log must have some frame.
    """

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        """What carries a publication. `previous` is the channel's publication before it, None if it is not at hand."""


class Codec(Encoder, Protocol):
    """One wire format, shared by all its sessions. Frames are ready bytes: put one after the other they still are.

    One that says less to who has the publication before (by a delta) is two: sessions change from one to the other.
    """

    @property
    def sent(self) -> Traffic:
        """What its sessions were given."""

    def after(self, sent: bool) -> Codec:
        """The codec of a session's next publication: itself, or the one for who was (not) sent the publication before.

        A subscription begins with the codec for who was not.
        """

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        """The frame that tells a session where it stands when it was not allowed to see what came; empty for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How much of a channel is remembered: its history, and what a socket that is behind for a moment goes on from."""

    #: Publications of history; 0 is no history.
    size: int
    #: Seconds of partition time that they stay in it.
    ttl: int
    #: Publications that are remembered in any case, and for how long; beyond history only delivery uses them.
    spare: int = 0
    spare_ttl: int = 0

    def holds(self, rank: int, age: int) -> bool:
        """Whether history has a channel's last publication but `rank` - 1, at an age in ms."""
        return rank <= self.size and age <= 1000 * self.ttl

    def keeps(self, rank: int, age: int) -> bool:
        """Whether it is remembered at all."""
        return self.holds(rank, age) or (rank <= self.spare and age <= 1000 * self.spare_ttl)


class Publication:
    """A record with its number. Each encoder encodes it once."""

    __slots__ = ("_frames", "_memory", "offset", "record", "time")

    def __init__(self, record: Record, offset: int) -> None:
        self.record = record
        #: Its number in the channel, from 1.
        self.offset = offset
        #: Partition time in ms when it was remembered.
        self.time = 0
        self._frames: dict[Encoder, bytes] = {}
        self._memory: Memory | None = None

    def frame(self, encoder: Encoder, previous: Publication | None = None) -> bytes:
        """The ready frame, the same bytes for every session of the codec."""
        frame = self._frames.get(encoder)
        if frame is None:
            frame = self._frames[encoder] = encoder.publication(self, previous)
            if self._memory is not None:
                self._memory.size += len(frame)
        return frame

    def _enter(self, memory: Memory, time: int) -> None:
        self.time = time
        self._memory = memory
        memory.size += self._size()

    def _leave(self, memory: Memory) -> None:
        self._memory = None
        memory.size -= self._size()

    def _size(self) -> int:
        record = self.record
        headers = sum(map(len, filter(None, (record.audience, record.info, record.tags))))
        return OVERHEAD + len(record.payload) + headers + sum(map(len, self._frames.values()))


class Memory:
    """The remembered publications of one partition: the newest of each channel, without a hole."""

    def __init__(self, retention: Callable[[str], Retention], budget: int) -> None:
        """`budget` in bytes; beyond it the oldest publications go, whatever their channel."""
        self._retention = retention
        self._budget = budget
        self._channels: dict[str, deque[Publication]] = {}
        #: By Kafka offset, the oldest first.
        self._order: OrderedDict[int, Publication] = OrderedDict()
        self._time = 0
        #: Bytes in use.
        self.size = 0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Publication]:
        """What is remembered, the oldest first."""
        return iter(self._order.values())

    def remember(self, publication: Publication) -> None:
        """Add a channel's next publication. The first of an epoch must be preceded by `forget`."""
        record = publication.record
        if not self._retention(record.channel).keeps(1, 0):
            return
        publication._enter(self, self._time)
        self._channels.setdefault(record.channel, deque()).append(publication)
        self._order[record.offset] = publication
        self._expire(record.channel)
        while self.size > self._budget and self._order:
            self._drop_oldest()

    def read(self, channel: str, after: int, limit: int) -> list[Publication] | None:
        """The publications after that number, in order, at most `limit` and about PAGE_BYTES; None if the next one is
        not remembered.
        """
        self._expire(channel)
        remembered = self._channels.get(channel)
        if remembered is None or not remembered[0].offset <= after + 1 <= remembered[-1].offset:
            return None
        page: list[Publication] = []
        size = 0
        start = after + 1 - remembered[0].offset
        for publication in islice(remembered, start, start + limit):
            page.append(publication)
            size += len(publication.record.payload)
            if size >= PAGE_BYTES:
                break
        return page

    def get(self, channel: str, offset: int) -> Publication | None:
        """The publication of that number, if it is at hand."""
        remembered = self._channels.get(channel)
        if remembered is None or not remembered[0].offset <= offset <= remembered[-1].offset:
            return None
        return remembered[offset - remembered[0].offset]

    def oldest(self, channel: str) -> Publication | None:
        """The oldest remembered publication of a channel."""
        self._expire(channel)
        remembered = self._channels.get(channel)
        return None if remembered is None else remembered[0]

    def first(self, channel: str) -> Publication | None:
        """The oldest publication of a channel's history."""
        self._expire(channel)
        retention, remembered = self._retention(channel), self._channels.get(channel, ())
        for rank, publication in zip(range(len(remembered), 0, -1), remembered, strict=True):
            if retention.holds(rank, self._time - publication.time):
                return publication
        return None

    def number_at(self, channel: str, start: int) -> int | None:
        """Number of the first remembered publication of a channel at or behind a Kafka offset."""
        remembered = self._channels.get(channel, ())
        return next((one.offset for one in remembered if one.record.offset >= start), None)

    def forget(self, channel: str) -> None:
        """Drop all of a channel: it begins anew."""
        for publication in self._channels.pop(channel, ()):
            self._drop(publication)

    def tick(self, time: int) -> None:
        """Move partition time. What was remembered before the first tick was remembered at it.

        Drops from the oldest what is past its time; what stands behind something longer lived goes when its channel is
        next read or added to, or when the budget asks for it.
        """
        if self._time == 0:
            for publication in self:
                publication.time = time
        self._time = time
        while self._order:
            channel = next(iter(self._order.values())).record.channel
            if not self._expired(channel):
                return
            self._drop_first(channel)

    def _expired(self, name: str) -> bool:
        """Whether the oldest publication of a channel is no longer to be remembered."""
        channel = self._channels[name]
        return not self._retention(name).keeps(len(channel), self._time - channel[0].time)

    def _expire(self, channel: str) -> None:
        while channel in self._channels and self._expired(channel):
            self._drop_first(channel)

    def _drop_oldest(self) -> None:
        self._drop_first(next(iter(self._order.values())).record.channel)

    def _drop_first(self, name: str) -> None:
        channel = self._channels[name]
        self._drop(channel.popleft())
        if not channel:
            del self._channels[name]

    def _drop(self, publication: Publication) -> None:
        del self._order[publication.record.offset]
        publication._leave(self)
