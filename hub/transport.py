"""One aiohttp WebSocket as a session writes to it: ready frames, no queue.

`write` hands bytes to the operating system's transport, which takes whatever it is given and keeps what the socket
does not accept at once. So the session asks `writable` first; after a no, `drained` is called as soon as it may go on.
aiohttp's own `send_*` would encode and await once per socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

#: Seconds a closing handshake may take before the connection is cut.
CLOSE_GRACE = 5.0

#: Bytes a socket may be behind before its session stops receiving.
HIGH_WATER = 64 * 1024


class Transport:
    """A prepared WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, request: web.BaseRequest) -> None:
        #: Called when a full buffer has emptied; not after the connection is lost.
        self.drained: Callable[[], None] = lambda: None
        self._socket = socket
        self._protocol = request.protocol
        self._waiting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        if (transport := self._protocol.transport) is not None:
            transport.set_write_buffer_limits(high=HIGH_WATER)

    def write(self, data: bytes) -> None:
        """Send one or more ready frames. What is written to a closing socket is lost, as on any network."""
        transport = self._protocol.transport
        if transport is not None and self._closing is None and not self._socket.closed:
            transport.write(data)

    def writable(self) -> bool:
        """Whether the socket keeps up."""
        protocol = self._protocol
        if protocol.transport is None or self._closing is not None:
            return False
        if protocol.writing_paused:
            if self._waiting is None:
                self._waiting = asyncio.create_task(self._drain())
            return False
        return True

    def close(self, code: int, reason: str) -> None:
        """Close with a code. The first call decides; a peer that does not answer is cut off after CLOSE_GRACE."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(code, reason))

    async def ended(self) -> None:
        """Wait for a close under way and leave nothing behind, also when the peer has stopped reading."""
        if self._waiting is not None:
            self._waiting.cancel()
        if self._closing is not None:
            await self._closing
        transport = self._protocol.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    async def _drain(self) -> None:
        try:
            await self._protocol._drain_helper()
        except ConnectionError:
            return  # the handler sees the lost connection by itself
        finally:
            self._waiting = None
        if self.writable():
            self.drained()

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_GRACE):
                await self._socket.close(code=code, message=reason.encode())
        except TimeoutError:
            if (transport := self._protocol.transport) is not None:
                transport.abort()
