"""The connection under a request as a session writes to it: ready bytes, no queue.

`write` hands bytes to the operating system's transport, which takes whatever it is given and keeps what the socket
does not accept at once. So the session asks `writable` first; after a no, `drained` is called as soon as it may go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

#: Bytes a connection may be behind before its session stops receiving.
HIGH_WATER = 64 * 1024


class Pipe:
    """One connection."""

    def __init__(self, request: web.BaseRequest) -> None:
        #: Called when a full buffer has emptied; not after the connection is lost.
        self.drained: Callable[[], None] = lambda: None
        self._protocol = request.protocol
        self._waiting: asyncio.Task[None] | None = None
        if (transport := self._protocol.transport) is not None:
            transport.set_write_buffer_limits(high=HIGH_WATER)

    def write(self, data: bytes) -> None:
        """Send bytes. What is written to a lost connection is lost."""
        if (transport := self._protocol.transport) is not None:
            transport.write(data)

    def writable(self) -> bool:
        """Whether the connection keeps up."""
        if self._protocol.transport is None:
            return False
        if self._protocol.writing_paused:
            if self._waiting is None:
                self._waiting = asyncio.create_task(self._drain())
            return False
        return True

    def abort(self) -> None:
        """Cut the connection."""
        if (transport := self._protocol.transport) is not None:
            transport.abort()

    async def ended(self, grace: float) -> None:
        """Leave nothing behind: what was written has so many seconds to go out, then the connection is cut."""
        transport = self._protocol.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.set_write_buffer_limits(high=0)  # so that drained means empty
            if self._waiting is None:
                self._waiting = asyncio.create_task(self._drain())
            await asyncio.wait({self._waiting}, timeout=grace)
            if transport.get_write_buffer_size():
                transport.abort()
        if self._waiting is not None:
            self._waiting.cancel()

    async def _drain(self) -> None:
        try:
            await self._protocol._drain_helper()
        except ConnectionError:
            return  # the handler sees the lost connection by itself
        finally:
            self._waiting = None
        if self.writable():
            self.drained()
