"""A session: one client's connection, as the channels see it.

It is a cursor on each of its channels and owns no queue of publications. While its transport takes what it is given,
frames go straight through. When the transport is full the session stops receiving; when it has drained, each cursor
goes on from what its channel remembers, and only if that no longer reaches back is the session closed as slow.
Frames that are no publications (replies, pongs) wait in a small queue, which also ends in "slow" when it overflows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog

from actors import closes
from actors.channel import Codec, Publication
from actors.delivery import WITHHELD, Admits, Cursor
from actors.kernel import ActorError, ActorStopped
from actors.log import Position
from actors.messages import Gap, Recover, Resume, Subscribe, Subscribed, Unsubscribe
from actors.partition import Partition

log = structlog.get_logger()

#: Bytes of replies and the like that may wait for a transport that takes no more, unless another number is given.
QUEUE_BYTES = 64 * 1024


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


class AlreadySubscribed(Exception):
    """The session listens to this channel already."""


#: Reads a page of publications older than memory: those that come next after `gap.since`, at least one, with the same
#: bounds as a page of memory. Raises OutOfReach.
Scan = Callable[[Gap], Awaitable[Sequence[Publication]]]

#: Makes the reply to a subscription, which stands before the channel's first frame.
Greet = Callable[[Subscribed], bytes]


class Session:
    """One client's connection. Its owner, the socket's handler, calls `leave` at the end, whoever closed it."""

    def __init__(
        self,
        *,
        transport: Transport,
        codec: Codec,
        admits: Admits,
        partition: Callable[[str], Partition],
        scan: Scan,
        lost: Callable[[str], None] | None = None,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        """`codec` is that of subscriptions which are given none. `admits` must not raise; sessions of one viewer should
        share it, then an audience is judged once for them.

        `partition` knows the actor that owns a channel. `lost` is told when a channel began anew, so that the session
        no longer listens to it; without it the session is closed. `queue_bytes` of replies may wait for a transport
        that takes no more.
        """
        self.admits = admits
        #: By channel.
        self.cursors: dict[str, Cursor] = {}
        #: Cursors that are not live; the partitions keep it.
        self.behind: dict[Cursor, None] = {}
        self._codec = codec
        self._transport = transport
        self._partition = partition
        self._scan = scan
        self._lost = lost
        self._queue_bytes = queue_bytes
        #: Whether it stopped receiving: the transport is full, or the session closed.
        self._held = False
        self._closed = False
        self._queue: list[bytes] = []
        self._queued = 0
        self._gathered: list[bytes] = []
        self._catching_up: asyncio.Task[None] | None = None

    # What its owner calls.

    async def subscribe(
        self, channel: str, *, since: Position | None = None, greet: Greet, codec: Codec | None = None
    ) -> Subscribed:
        """Listen to a channel, from the top or from where the client left; what followed since comes in pages.

        Its publications have this `codec`, if one is given. Raises AlreadySubscribed, ActorStopped, or what scanning
        the log raises beside OutOfReach.
        """
        if channel in self.cursors:
            raise AlreadySubscribed(channel)
        cursor = self.cursors[channel] = Cursor(self, channel, codec or self._codec)
        partition = self._partition(channel)
        try:
            answer = await partition.ask(Subscribe(cursor=cursor, since=since, greet=greet))
            if isinstance(answer, Gap):
                answer = await self._subscribe_from_log(partition, cursor, answer, greet)
        except Exception:
            del self.cursors[channel]
            raise
        self._go_on()
        return answer

    async def recover(
        self,
        channel: str,
        *,
        since: Position,
        limit: int,
        latest: bool = False,
        greet: Greet,
        codec: Codec | None = None,
    ) -> Subscribed:
        """Listen to a channel from the top, with all that followed `since` in the greeting, or nothing of it.

        Nothing if the client left another channel of that name, if it is more than `limit`, or if the log no longer
        reaches back. With `latest` it is only ever the latest publication, if the client does not have it. Raises like
        `subscribe`.
        """
        if channel in self.cursors:
            raise AlreadySubscribed(channel)
        cursor = self.cursors[channel] = Cursor(self, channel, codec or self._codec)
        try:
            answer = await self._recover(Recover(
                cursor=cursor, since=since, at=since.offset, found=(), limit=limit, latest=latest, greet=greet
            ))  # fmt: skip
        except Exception:
            del self.cursors[channel]
            raise
        self._go_on()
        return answer

    async def _recover(self, recover: Recover) -> Subscribed:
        """Ask, and read the log for as long as memory does not reach back."""
        partition = self._partition(recover.cursor.channel)
        while True:
            answer = await partition.ask(recover)
            if isinstance(answer, Subscribed):
                return answer
            try:
                page = await self._scan(answer)
            except OutOfReach:
                recover = replace(recover, limit=-1)
            else:
                found = [*recover.found, *recover.cursor.visible(page)]
                recover = replace(recover, found=found, at=page[-1].offset)

    async def unsubscribe(self, channel: str) -> None:
        """Stop listening; nothing of the channel follows."""
        if (cursor := self.cursors.get(channel)) is not None:
            await self._partition(channel).ask(Unsubscribe(cursor=cursor))
            del self.cursors[channel]

    def send(self, frame: bytes) -> None:
        """Send a frame that is no publication. If too much waits already, the session is closed as slow."""
        if not frame or self._closed:
            return
        if self.deliver(frame):
            self._codec.sent.add(1, len(frame))
            return
        self._queue.append(frame)
        self._queued += len(frame)
        if self._queued > self._queue_bytes:
            self.close(*closes.SLOW)

    def hold(self) -> None:
        """Take nothing until `release`: something must stand before it."""
        self._held = True

    def release(self, frame: bytes) -> None:
        """Send a frame, then what waits, then go on where the cursors stand."""
        if not self._closed:
            if frame:
                self._transport.write(frame)
                self._codec.sent.add(1, len(frame))
            self.resumed()

    def resumed(self) -> None:
        """The transport takes more again: send what waits, then go on where the cursors stand."""
        if self._closed:
            return
        taken = 0
        while taken < len(self._queue) and self._transport.writable():
            frame = self._queue[taken]
            taken += 1
            self._queued -= len(frame)
            self._transport.write(frame)
            self._codec.sent.add(1, len(frame))
        del self._queue[:taken]
        self._held = bool(self._queue) or not self._transport.writable()
        self._go_on()

    def close(self, code: int, reason: str) -> None:
        """Close the connection; nothing is written after this."""
        if not self._closed:
            self._closed = self._held = True
            self._queue.clear()
            self._gathered.clear()
            self._transport.close(code, reason)

    @property
    def closed(self) -> bool:
        """Whether it was closed from this side, or left."""
        return self._closed

    async def leave(self) -> None:
        """End all that is done for this session."""
        self._closed = self._held = True
        if self._catching_up is not None:
            self._catching_up.cancel()
            await asyncio.wait({self._catching_up})
        for channel in list(self.cursors):
            with suppress(ActorError):  # the actor is gone, and its listeners with it
                await self.unsubscribe(channel)

    # What the partitions call.

    def deliver(self, frames: bytes, due: list[Session] | None = None) -> bool:
        """Take frames, at once or (with `due`) at the next flush. False if it takes no more now."""
        if self._held or not self._transport.writable():
            self._held = True
            return False
        if due is None:
            self._transport.write(frames)
        else:
            if not self._gathered:
                due.append(self)
            self._gathered.append(frames)
        return True

    def flush(self) -> None:
        """Write what was gathered, as one piece."""
        if self._gathered:
            self._transport.write(b"".join(self._gathered))
            self._gathered.clear()

    def lost(self, cursor: Cursor) -> None:
        """A channel began anew, so that the cursor stands nowhere; nobody delivers to it any more."""
        if self._lost is None:
            self.close(*closes.INSUFFICIENT_STATE)
        else:
            del self.cursors[cursor.channel]
            self._lost(cursor.channel)

    # Catching up.

    async def _subscribe_from_log(self, partition: Partition, cursor: Cursor, gap: Gap, greet: Greet) -> Subscribed:
        """Subscribe from before what is remembered, if the log reaches back; else from the top."""
        try:
            page = await self._scan(gap)
        except OutOfReach:
            page = ()
        since = Position(gap.epoch, gap.since) if page else None
        answer = await partition.ask(Subscribe(cursor=cursor, since=since, greet=greet, scanned=True))
        assert isinstance(answer, Subscribed)
        if answer.recovered:
            cursor.offer(page)
        return answer

    def _go_on(self) -> None:
        if self.behind and not self._held and self._catching_up is None:
            self._catching_up = asyncio.create_task(self._catch_up(), name="catch up")

    async def _catch_up(self) -> None:
        """Bring the cursors to the top, a page at a time, until all are live or the transport is full."""
        try:
            while self.behind and not self._held:
                cursor = next(iter(self.behind))
                gap = await self._partition(cursor.channel).ask(Resume(cursor=cursor))
                if gap is not None:
                    await self._cross(cursor, gap)
        except OutOfReach:
            self.close(*closes.INSUFFICIENT_STATE)
        except ActorStopped:
            self.close(*closes.SHUTDOWN)
        except Exception:
            log.exception("catch_up_failed")
            self.close(*closes.INTERNAL)
        finally:
            self._catching_up = None

    async def _cross(self, cursor: Cursor, gap: Gap) -> None:
        """Get over publications that are not remembered: a resuming client by the log, a slow one not at all."""
        if not cursor.resuming:
            log.info("session_slow", channel=cursor.channel, since=gap.since)
            self.close(*closes.SLOW)
            return
        page = await self._scan(gap)
        if cursor in self.behind and cursor.offer(page):
            cursor.notice(WITHHELD, cursor.offset)
