"""A TCP proxy between a client of ours and one broker, with a knife."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any


class Proxy:
    """Passes bytes on to `address`, host:port, until told otherwise."""

    def __init__(self, address: str) -> None:
        self._host, port = address.split(",")[0].split(":")
        self._port = int(port)
        #: Whether the broker's answers reach the client.
        self.answers = True
        #: Connections cut so far.
        self.cuts = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._swallowed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._listens: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def connect(self, straight: Callable[..., Awaitable[Any]], port: int, **rest: Any) -> Any:
        """Connect a Kafka client to us instead of to the broker, which told it its own port."""
        assert port == self._port
        return await straight("127.0.0.1", self._listens, **rest)

    async def asked_something(self) -> None:
        """Wait until an answer was swallowed."""
        self._swallowed.clear()
        async with asyncio.timeout(10):
            await self._swallowed.wait()

    def cut(self) -> None:
        """End every connection, at once and in both directions."""
        for writer in self._open:
            writer.transport.abort()
            self.cuts += 1
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._open |= {writer, back}
        for task in (
            asyncio.create_task(self._pass(reader, back, answers=False)),
            asyncio.create_task(self._pass(there, writer, answers=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while data := await reader.read(65536):
                if answers and not self.answers:
                    self._swallowed.set()
                    continue
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # cut
        finally:
            writer.close()
