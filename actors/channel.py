"""What a node remembers of its channels: publications with their ready frames, within a budget.

Nothing here decides a number; two nodes may remember different stretches of the same log.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from actors.log import Kind, Record

#: What one remembered publication costs beside its payload and frames, in bytes (measured by bench/fold.py).
OVERHEAD = 700


class Codec(Protocol):
    """One wire format, shared by all its sessions. Frames are ready bytes: put one after the other they still are.

    Never raises: whatever stands in the log must have some frame.
    """

    def publication(self, publication: Publication) -> bytes:
        """The frame that carries a publication."""

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        """The frame that tells a session where it stands when it was not allowed to see what came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How much of a channel is remembered. Size 0 remembers nothing."""

    #: Publications.
    size: int
    #: Seconds of partition time.
    ttl: int


class Publication:
    """A numbered publication. Each codec encodes it once."""

    __slots__ = ("_account", "_frames", "audience", "channel", "id", "kind", "offset", "payload", "record", "timestamp")

    def __init__(self, record: Record, offset: int) -> None:
        self.channel = record.channel
        #: Its number in the channel, from 1.
        self.offset = offset
        self.kind: Kind = record.kind
        self.id = record.id
        self.payload = record.payload
        #: Who may see it, as JSON; None means whoever may subscribe.
        self.audience = record.audience
        #: Kafka timestamp in ms, to be shown.
        self.timestamp = record.timestamp
        #: Kafka offset of its record.
        self.record = record.offset
        self._frames: dict[Codec, bytes] = {}
        self._account: Memory | None = None

    def frame(self, codec: Codec) -> bytes:
        """The ready frame, the same bytes for every session of the codec."""
        frame = self._frames.get(codec)
        if frame is None:
            frame = self._frames[codec] = codec.publication(self)
            if self._account is not None:
                self._account.size += len(frame)
        return frame

    @property
    def size(self) -> int:
        """Memory it takes, in bytes."""
        audience = 0 if self.audience is None else len(self.audience)
        return OVERHEAD + len(self.payload) + audience + sum(map(len, self._frames.values()))


class Memory:
    """The remembered publications of one partition: the newest of each channel, without a hole."""

    def __init__(self, retention: Callable[[str], Retention], budget: int) -> None:
        self._retention = retention
        #: Bytes; beyond it the oldest publications go, whatever their channel.
        self._budget = budget
        self._channels: dict[str, deque[Publication]] = {}
        #: By Kafka offset, the oldest first.
        self._order: OrderedDict[int, Publication] = OrderedDict()
        self._time = 0
        #: Bytes in use.
        self.size = 0
