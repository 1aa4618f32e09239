"""A crowd: thousands of WebSocket clients in a few processes that do next to nothing, so that the machine is the
server's. They count publications, answer pings, and tell when as many as expected have come.

Times are of the machine's monotonic clock, which all its processes share.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any, ClassVar, cast

import jwt
import uvloop

from bench.node import KEY, Server

#: What is in every frame of a publication, once.
PUBLICATION = b'"pub"'

#: A ping of the protocol in a WebSocket frame, and its answer, masked with zeros.
PING, PONG = b"\x81\x02{}", b"\x81\x82\0\0\0\0{}"

PROCESSES = 2


class Listener(asyncio.Protocol):
    """One client."""

    __slots__ = ("_rest", "_transport", "greeted", "hello")

    #: Publications that all clients of this process have read, and what is done at so many.
    count: ClassVar[int] = 0
    target: ClassVar[int] = 0
    lost: ClassVar[int] = 0

    def __init__(self, hello: list[bytes], greeted: asyncio.Future[None]) -> None:
        """`hello` is what it says, each once there was an answer to what was before."""
        self.hello = hello
        self.greeted: asyncio.Future[None] | None = greeted
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self.hello[0])

    def data_received(self, data: bytes) -> None:
        if self.greeted is not None:
            self._greet(data)
            return
        if self._rest:
            data = self._rest + data
        self._rest = b"" if data.endswith(b"}") else data[-len(PUBLICATION) + 1 :]
        cls = Listener
        before = cls.count
        cls.count = before + data.count(PUBLICATION)
        if before < cls.target <= cls.count:
            print(perf_counter(), flush=True)
        if data.endswith(PING):
            self._transport.write(PONG)

    def _greet(self, data: bytes) -> None:
        """Read on until the last answer is there: the upgrade, then the replies."""
        self._rest += data
        head, ended, replies = self._rest.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"[: len(head)]) or b'"error"' in replies:
            self._fail()
        if ended and len(self.hello) == 2:
            self._transport.write(self.hello.pop())
        if ended and (b"/connection/websocket?" in self.hello[0] or b'"subscribe":' in replies):
            assert self.greeted is not None
            self.greeted.set_result(None)
            self.greeted, self._rest = None, b""
            self.hello.clear()

    def connection_lost(self, error: Exception | None) -> None:
        Listener.lost += 1
        if self.greeted is not None:
            self._fail()

    def _fail(self) -> None:
        if self.greeted is not None and not self.greeted.done():
            self.greeted.set_exception(ConnectionError(self._rest.decode(errors="replace")))
            self._transport.abort()


def upgrade(port: int, query: str = "") -> bytes:
    """The request for a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /connection/websocket{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def masked(text: str) -> bytes:
    """A client's text frame, masked with zeros."""
    data = text.encode()
    size = len(data)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data


def commands(user: str, channel: str) -> str:
    """Connect and subscribe, in one frame."""
    token = jwt.encode({"sub": user}, KEY, algorithm="HS256")
    said: tuple[dict[str, Any], ...] = (
        {"id": 1, "connect": {"token": token}},
        {"id": 2, "subscribe": {"channel": channel}},
    )
    return "\n".join(map(json.dumps, said))


async def attend(given: dict[str, Any]) -> None:
    """Be one process of a crowd: connect everybody and say how that went, then do as told on standard input."""
    loop, port = asyncio.get_running_loop(), given["port"]
    everyone: list[list[bytes]] = []
    for number in range(given["first"], given["first"] + given["count"]):
        channel = f"bench:{number % given['channels']}"
        if given["bare"]:
            everyone.append([upgrade(port, f"?channel={channel}")])
        else:
            everyone.append([upgrade(port), masked(commands(f"u{number}", channel))])
    print("made", flush=True)
    errors = 0

    async def enter(hello: list[bytes], arriving: asyncio.Semaphore) -> None:
        nonlocal errors
        async with arriving:
            greeted: asyncio.Future[None] = loop.create_future()
            try:
                await loop.create_connection(lambda: Listener(hello, greeted), "127.0.0.1", port)
                async with asyncio.timeout(60):
                    await greeted
            except (OSError, TimeoutError) as error:
                errors += 1
                print(f"not connected: {error!r}", file=sys.stderr)

    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        if line.startswith(b"enter"):
            arriving = asyncio.Semaphore(int(line.split()[1]))
            await asyncio.gather(*(enter(hello, arriving) for hello in everyone))
            print(errors, flush=True)
        else:
            Listener.target = int(line)
            if Listener.count >= Listener.target:
                print(perf_counter(), flush=True)


class Crowd:
    """The clients of one server. Client number n listens to channel `bench:<n modulo channels>`."""

    def __init__(self, processes: Sequence[Process], clients: int, channels: int) -> None:
        self.clients = clients
        self.channels = channels
        self._processes = processes
        self._expected = 0

    async def enter(self, at_once: int = 200) -> tuple[float, int]:
        """Let all come in, so many at a time; the seconds that took, and how many could not."""
        begun = perf_counter()
        errors = await self._ask(f"enter {at_once // len(self._processes)}")
        return perf_counter() - begun, round(sum(errors))

    async def read(self, messages: int) -> float:
        """When the last client has read so many more messages, of those that come to each of its channels in turn."""
        self._expected += messages * self.clients // self.channels // len(self._processes)
        return max(await self._ask(str(self._expected)))

    async def _ask(self, line: str) -> list[float]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{line}\n".encode())
        return [float(await _line(process)) for process in self._processes]


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(300):
        line = await process.stdout.readline()
    assert line, "a process of the crowd has ended"
    return line


@asynccontextmanager
async def crowd(server: Server, clients: int, channels: int = 1) -> AsyncIterator[Crowd]:
    """So many clients, still outside, evenly spread over channels and processes."""
    share = clients // PROCESSES
    assert (share * PROCESSES, share % channels) == (clients, 0), "clients must spread evenly"
    processes: list[Process] = []
    try:
        for number in range(PROCESSES):
            given = {
                "port": server.port,
                "bare": server.name == "bare",
                "first": number * share,
                "count": share,
                "channels": channels,
            }
            argv = [sys.executable, "-m", "bench.crowd", json.dumps(given)]
            pipe = asyncio.subprocess.PIPE
            processes.append(await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe))
        for process in processes:
            assert await _line(process) == b"made\n"
        yield Crowd(processes, clients, channels)
    finally:
        for process in processes:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    uvloop.run(attend(json.loads(sys.argv[1])))
