"""A simulated client: the protocol in JSON on a WebSocket, and all it was told of its channels.

It checks what it can know alone: what comes goes on from where it stands, by one, and nothing comes of a channel it
does not listen to. What it saw is compared with the model by whoever made it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import jwt
import orjson

from tests.system.hubs import KEY, Hub


class Gone(Exception):
    """The connection ended before the answer came."""


class RefusedError(Exception):
    """The hub answered with this error."""


@dataclass
class Visit:
    """One subscription, from its beginning to its end, in a channel without numbers."""

    #: Monotonic seconds at which it was answered.
    since: float
    heard: list[str] = field(default_factory=list)
    over: bool = False


@dataclass
class Seat:
    """What a client knows of one channel."""

    channel: str
    #: Whether it wants to listen, and whether it does.
    wanted: bool = True
    listening: bool = False
    recoverable: bool = False
    epoch: str = ""
    #: The number it stands at; -1 before the first subscription.
    at: int = -1
    #: What it saw, by number: live, recovered or read back.
    seen: dict[int, str] = field(default_factory=dict)
    visits: list[Visit] = field(default_factory=list)

    def begin(self, reply: dict[str, Any], since: int | None, limit: int) -> None:
        """Take the answer to a subscription from number `since`."""
        assert not self.listening, self
        self.listening, self.recoverable = True, reply.get("recoverable", False)
        self.visits.append(Visit(time.monotonic()))
        if not self.recoverable:
            assert "epoch" not in reply, reply
            return
        offset, missed = reply.get("offset", 0), reply.get("publications", [])
        if since is None:
            assert not missed, reply
            self.at = offset
        elif reply.get("recovered", False):
            assert len(missed) <= limit, reply
            assert offset == (since if missed else self.at), (self, reply)
        else:
            assert not missed, reply
            assert offset - since > limit, f"not recovered from {since}, although the top is only {offset}: {self}"
            self.at = offset
        self.epoch = reply["epoch"]
        for publication in missed:
            self.take(publication)

    def take(self, publication: dict[str, Any]) -> None:
        """Take a publication of a subscription."""
        assert self.listening, (self.channel, publication)
        id = publication["data"]["id"]
        self.visits[-1].heard.append(id)
        if self.recoverable:
            assert publication["offset"] == self.at + 1, f"{publication['offset']} came after {self.at}: {self}"
            self.at += 1
            self.know(self.at, id)

    def know(self, offset: int, id: str) -> None:
        """Remember which publication has a number; it is always the same."""
        assert self.seen.setdefault(offset, id) == id, (self.channel, offset, id, self.seen[offset])

    def end(self) -> None:
        """Nothing more comes of it."""
        if self.listening:
            self.listening = False
            self.visits[-1].over = True


def narrow(address: Any) -> socket.socket:
    """A socket that takes little while nobody reads, and is quick enough when somebody does (for a TCPConnector)."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    # Segments of loopback are larger than that buffer: each would wait for a timer.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
    return made


class Listener:
    """One client, which may come and go."""

    def __init__(self, name: str, http: aiohttp.ClientSession, *, limit: int) -> None:
        """`limit` is the most publications that are recovered."""
        self.name = name
        self.seats: dict[str, Seat] = {}
        self.hub: Hub | None = None
        #: The id the hub gave it.
        self.id = ""
        #: What went wrong with what it was told.
        self.failed: Exception | None = None
        #: How its last connection ended.
        self.code: int | None = None
        #: Told every publication that comes by itself.
        self.heard: Callable[[dict[str, Any]], None] = lambda publication: None
        self._http = http
        self._limit = limit
        self._ids = count(1)
        self._asked: dict[int, tuple[asyncio.Future[dict[str, Any]], Seat | None, int | None]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._reading is not None and not self._reading.done()

    async def come(self, hub: Hub) -> None:
        """Connect to a node and go on with every channel from where it stands. Raises Gone."""
        assert not self.connected
        try:
            self._socket = await self._http.ws_connect(f"{hub.url}/connection/websocket", max_msg_size=0)
        except (aiohttp.ClientError, OSError) as error:
            raise Gone from error
        self.hub = hub
        self._reading = asyncio.create_task(self._read(self._socket))
        token = jwt.encode({"sub": self.name}, KEY, algorithm="HS256")
        self.id = (await self._ask({"connect": {"token": token}}))["connect"]["client"]
        for seat in self.seats.values():
            if seat.wanted:
                await self._subscribe(seat, recover=True)

    async def subscribe(self, channel: str, *, recover: bool) -> None:
        """Listen to a channel. Raises Gone."""
        seat = self.seats.setdefault(channel, Seat(channel))
        seat.wanted = True
        if not seat.listening:
            await self._subscribe(seat, recover=recover)

    async def unsubscribe(self, channel: str) -> None:
        """Do not listen any more. Raises Gone."""
        if (seat := self.seats.get(channel)) is not None and seat.listening:
            seat.wanted = False
            await self._ask({"unsubscribe": {"channel": channel}}, seat)

    async def publish(self, channel: str, data: dict[str, Any]) -> None:
        """Say something. Raises Gone or RefusedError: the outcome is unknown."""
        await self._ask({"publish": {"channel": channel, "data": data}})

    async def look_back(self, channel: str, since: int, limit: int) -> None:
        """Read history from a number on; what it says is remembered. Raises Gone."""
        seat = self.seats[channel]
        request = {"channel": channel, "limit": limit, "since": {"offset": since, "epoch": seat.epoch}}
        reply = (await self._ask({"history": request}))["history"]
        found = reply.get("publications", [])
        assert [one["offset"] for one in found] == list(range(since + 1, since + 1 + len(found))), reply
        assert len(found) == min(limit, reply["offset"] - since), reply
        for one in found:
            seat.know(one["offset"], one["data"]["id"])

    def stall(self) -> None:
        """Stop reading."""
        with suppress(RuntimeError):
            self._stream.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        with suppress(RuntimeError):
            self._stream.resume_reading()

    async def drop(self) -> None:
        """Be gone without goodbye."""
        if self._socket is not None and self.connected:
            self._stream.abort()
            await self.ended()

    async def ended(self) -> None:
        """Wait until the connection is over."""
        assert self._reading is not None
        await asyncio.wait({self._reading})

    async def leave(self) -> None:
        """Say goodbye."""
        if self._socket is not None and self.connected:
            self.go_on()
            await self._socket.close()
            await self.ended()

    @property
    def _stream(self) -> asyncio.Transport:
        assert self._socket is not None
        transport: asyncio.Transport = self._socket._writer.transport
        return transport

    async def _subscribe(self, seat: Seat, *, recover: bool) -> None:
        request: dict[str, Any] = {"channel": seat.channel}
        since = seat.at if recover and seat.recoverable else None
        if since is not None:
            request |= {"recover": True, "offset": since, "epoch": seat.epoch}
        await self._ask({"subscribe": request}, seat, since)

    async def _ask(self, command: dict[str, Any], seat: Seat | None = None, since: int | None = None) -> dict[str, Any]:
        """The answer to a command; what it says of a seat is taken as it comes, before anything that follows it."""
        assert self._socket is not None
        id, answer = next(self._ids), asyncio.get_running_loop().create_future()
        self._asked[id] = answer, seat, since
        try:
            await self._socket.send_str(orjson.dumps({"id": id, **command}).decode())
        except (aiohttp.ClientError, OSError) as error:
            self._asked.pop(id, None)
            answer.cancel()
            raise Gone from error
        if not self.connected and id in self._asked:
            del self._asked[id]
            raise Gone
        reply: dict[str, Any] = await answer
        if "error" in reply:
            raise RefusedError(reply["error"])
        return reply

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                for line in message.data.split("\n"):
                    await self._take(socket, orjson.loads(line))
            # Not the socket's own code: it takes another if the server has hung up before it answers the close.
            self.code = message.data if message.type is aiohttp.WSMsgType.CLOSE else socket.close_code
        except (aiohttp.ClientError, OSError):
            pass  # it is gone, as it may be at any time
        except Exception as error:
            self.failed = error
        finally:
            for seat in self.seats.values():
                seat.end()
            for answer, _, _ in self._asked.values():
                if not answer.done():
                    answer.set_exception(Gone(f"{self.name}: {socket.close_code}"))
            self._asked.clear()

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, said: dict[str, Any]) -> None:
        if not said:
            await socket.send_str("{}")
        elif "push" in said:
            push = said["push"]
            if "pub" not in push:
                raise AssertionError(f"{self.name} was told {push}")
            self.seats[push["channel"]].take(push["pub"])
            self.heard(push["pub"])
        else:
            answer, seat, since = self._asked.pop(said["id"])
            if seat is not None and "subscribe" in said:
                seat.begin(said["subscribe"], since, self._limit)
            elif seat is not None and "unsubscribe" in said:
                seat.end()
            if not answer.done():
                answer.set_result(said)
