"""One aiohttp WebSocket as a session writes to it: ready frames. aiohttp's own `send_*` would encode and await for
each socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from hub.pipe import Pipe

#: Seconds a closing handshake may take before the connection is cut.
CLOSE_GRACE = 5.0


class Transport:
    """A prepared WebSocket."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.BaseRequest,
        *,
        farewell: Callable[[int, str], bytes] | None = None,
    ) -> None:
        """`farewell` makes a last frame that says why, before the close frame does."""
        self.pipe = Pipe(request)
        self._socket = socket
        self._farewell = farewell
        #: Why it was closed from this side.
        self.code: int | None = None
        self._closing: asyncio.Task[None] | None = None

    def write(self, data: bytes) -> None:
        """Send one or more ready frames. What is written to a closing socket is lost, as on any network."""
        if self._closing is None and not self._socket.closed:
            self.pipe.write(data)

    def writable(self) -> bool:
        """Whether the socket keeps up."""
        return self._closing is None and self.pipe.writable()

    def close(self, code: int, reason: str) -> None:
        """Close with a code. The first call decides; a peer that does not answer is cut off after CLOSE_GRACE."""
        if self._closing is None:
            self.code = code
            if self._farewell is not None:
                self.write(self._farewell(code, reason))
            self._closing = asyncio.create_task(self._close(code, reason))

    async def ended(self) -> None:
        """Wait for a close under way and leave nothing behind; a peer that reads gets all that was written."""
        if self._closing is not None:
            await self._closing
        await self.pipe.ended(CLOSE_GRACE)

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_GRACE):
                await self._socket.close(code=code, message=reason.encode())
        except TimeoutError:
            self.pipe.abort()
