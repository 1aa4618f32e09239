"""A session: one client's connection, as the channels see it.

It is a cursor on each of its channels and owns no queue of publications. While its transport takes what it is given,
frames go straight through. When the transport is full the session stops receiving; when it has drained, each cursor
goes on from what its channel remembers, and only if that no longer reaches back is the session closed as slow.
Frames that are no publications (replies, pongs) wait in a small queue, which also ends in "slow" when it overflows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from actors.channel import Codec, Publication
from actors.delivery import Cursor
from actors.log import Position
from actors.partition import Gap, Subscribed


class Transport(Protocol):
    """Where a session's frames go. Never raises; what is written after the connection is gone is lost."""

    def write(self, data: bytes) -> None:
        """Send one or more ready frames."""

    def writable(self) -> bool:
        """Whether it takes more. After it answered False, `Session.resumed` must be called once it does."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection; the first call decides."""


class OutOfReach(Exception):
    """The log no longer reaches back to the position asked for."""


#: Reads publications older than memory: the ones after `gap.since`, in order, at least one. Raises OutOfReach.
Scan = Callable[[Gap], Awaitable[Sequence[Publication]]]


class Session:
    """One client's connection. Its owner (the socket's handler) calls `leave` at the end, whoever closed it."""

    def __init__(
        self,
        *,
        transport: Transport,
        codec: Codec,
        admits: Callable[[bytes], bool],
        partition: Callable[[str], Partition],
        scan: Scan,
    ) -> None:
        """`admits` says whether an audience lets this session see a publication; `partition` knows a channel's actor.

        Sessions of one viewer should share one `admits`: then an audience is judged once for all of them.
        """

    async def subscribe(
        self, channel: str, *, since: Position | None = None, greet: Callable[[Subscribed], bytes]
    ) -> Subscribed:
        """Listen to a channel. `greet` makes the frame that goes before the channel's first publication."""

    async def unsubscribe(self, channel: str) -> None:
        """Stop listening; nothing of the channel follows."""

    def send(self, frame: bytes) -> None:
        """Send a frame that is no publication; closed as slow if too many wait."""

    def resumed(self) -> None:
        """The transport takes more again: send what waits and go on where the cursors stand."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection; nothing is written after this."""

    async def leave(self) -> None:
        """End all that was done for this session."""

    @property
    def cursors(self) -> dict[str, Cursor]:
        """By channel."""
