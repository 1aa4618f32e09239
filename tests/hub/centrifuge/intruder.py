"""A client that says exactly what it is told, on any transport, and knows what it was sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import aiohttp
import orjson

from hub.centrifuge import protobuf_wire
from hub.centrifuge.codec import COMMAND, REPLY
from hub.centrifuge.protobuf_codec import CENTRIFUGE_PROTOBUF
from tests.hub.centrifuge.clients import Raw, raw
from tests.hub.centrifuge.test_streams import Stream, streaming
from tests.hub.nodes import Node

DIALECTS = ["json", "protobuf", "sse", "http_stream"]


class Line(Protocol):
    """A way to speak to the hub."""

    async def say(self, *commands: dict[str, Any]) -> Any:
        """Send commands, in one frame."""

    async def hear(self) -> dict[str, Any]:
        """The next object that is no ping. Raises EOFError with the close code."""


class Intruder:
    """A client on some line."""

    def __init__(self, line: Line) -> None:
        self.line = line
        #: What was pushed to it.
        self.pushes: list[dict[str, Any]] = []

    async def answer(self, id: int) -> dict[str, Any]:
        """The answer to a command. Raises EOFError."""
        while (said := await self.line.hear()).get("id") != id:
            if "push" in said:
                self.pushes.append(said["push"])
        return said

    async def fate(self, command: dict[str, Any], id: int) -> tuple[str, int]:
        """What comes of a command: "error" or "close" with its code, or "done"."""
        try:
            await self.line.say({"id": id, **command})
            error = (await self.answer(id)).get("error")
        except EOFError as ended:
            return "close", ended.args[0]
        return ("done", 0) if error is None else ("error", error["code"])

    async def overhears(self, id: int) -> list[dict[str, Any]]:
        """All that was pushed to it until now, or until it was closed."""
        with suppress(EOFError, aiohttp.ClientConnectionResetError):
            await self.line.say({"id": id, "ping": {}})
            await self.answer(id)
        return self.pushes


class _Protobuf:
    """A WebSocket in Protobuf. Contents are as the schema has them: payloads are bytes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._read: list[dict[str, Any]] = []

    async def say(self, *commands: dict[str, Any]) -> None:
        await self.socket.send_bytes(b"".join(map(encoded, commands)))

    async def hear(self) -> dict[str, Any]:
        while True:
            while self._read:
                if found := self._read.pop(0):
                    return found
                await self.socket.send_bytes(CENTRIFUGE_PROTOBUF.ping)
            message = await self.socket.receive(timeout=20)
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise EOFError(message.data if message.type is aiohttp.WSMsgType.CLOSE else self.socket.close_code)
            at = 0
            while at < len(message.data):
                reply, at = protobuf_wire.read_delimited(message.data, at)
                content = protobuf_wire.decode(REPLY, reply)
                self._read.append({name: value for name, value in content.items() if value})


class _Streamed:
    """A stream, which begins with the first commands."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def say(self, *commands: dict[str, Any]) -> None:
        await self._stream.say(*commands)

    async def hear(self) -> dict[str, Any]:
        said = await self._stream.hear()
        if "connect" in said:
            self._stream.connect = said["connect"]
        if (disconnect := said.get("push", {}).get("disconnect")) is not None:
            raise EOFError(disconnect["code"])
        return said


def encoded(command: dict[str, Any]) -> bytes:
    """A command in Protobuf, behind its length."""
    packed = json.loads(json.dumps(command))
    for request in packed.values():
        if isinstance(request, dict) and "data" in request:
            request["data"] = orjson.dumps(request["data"])
    return protobuf_wire.delimited(protobuf_wire.encode(COMMAND, packed))


@asynccontextmanager
async def intruding(hub: Node, dialect: str, *commands: dict[str, Any]) -> AsyncIterator[Intruder]:
    """A client that begins with these commands."""
    if dialect == "json":
        async with raw(hub) as client:
            await client.say(*commands)
            yield Intruder(client)
    elif dialect == "protobuf":
        url = f"{hub.url}/connection/websocket"
        async with hub.http.ws_connect(url, protocols=("centrifuge-protobuf",)) as socket:
            line = _Protobuf(socket)
            await line.say(*commands)
            yield Intruder(line)
    else:
        async with streaming(hub, dialect, *commands) as stream:
            yield Intruder(_Streamed(stream))


class Witness:
    """A client that may listen, so that it is known when something was published, and what."""

    def __init__(self, client: Raw) -> None:
        self._client = client

    async def hears(self) -> tuple[str, Any]:
        """Channel and data of the next publication."""
        while "pub" not in (push := (await self._client.hear()).get("push", {})):
            pass
        return push["channel"], push["pub"]["data"]
