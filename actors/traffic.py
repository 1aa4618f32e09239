"""What is counted while frames come and go: plain numbers that cost next to nothing, for whoever shows them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Traffic:
    """What went one way in one wire format, over all its sessions."""

    __slots__ = ("bytes", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0

    def add(self, messages: int, bytes: int) -> None:
        """Count some more."""
        self.messages += messages
        self.bytes += bytes


class Standing:
    """How many cursors stand where, over all channels of a partition."""

    __slots__ = ("behind", "fell", "live")

    def __init__(self) -> None:
        #: They get each batch as it comes.
        self.live = 0
        #: They have an offset of their own.
        self.behind = 0
        #: Times a live one fell behind because its session took no more.
        self.fell = 0


class Spread:
    """How values are spread over ranges."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` are the upper ends of the ranges, which they belong to, in ascending order."""
        self.bounds = tuple(bounds)
        #: Values in each range; the last is above all bounds.
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
