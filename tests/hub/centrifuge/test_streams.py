"""The streams, SSE and HTTP: answers come down, later commands go beside them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.centrifuge import codes, protobuf_wire, stream
from hub.centrifuge.codec import EMULATION, REPLY
from hub.centrifuge.node import NODE
from hub.centrifuge.schema import MESSAGES
from settings import Settings
from tests.hub.centrifuge.clients import configured, connection_token
from tests.hub.nodes import Node, prepare

#: About the protocol, whatever the broker; what nodes do together is tested on both.
pytestmark = pytest.mark.one_broker

TRANSPORTS = ["sse", "http_stream"]
STREAMS = {"sse": {"enabled": True}, "http_stream": {"enabled": True}}


class Stream:
    """A client on a stream, in JSON."""

    def __init__(self, hub: Node, transport: str, reply: aiohttp.ClientResponse) -> None:
        self.hub = hub
        self.reply = reply
        self._prefix = b"data: " if transport == "sse" else b""
        self.connect: dict[str, Any] = {}

    async def hear(self) -> dict[str, Any]:
        """The next object that is no ping. Raises EOFError at the end."""
        while line := await self.reply.content.readline():
            text = line.strip().removeprefix(self._prefix)
            if text and text != b"{}":
                found: dict[str, Any] = json.loads(text)
                return found
        raise EOFError

    async def say(self, *commands: dict[str, Any], session: str | None = None, node: str | None = None) -> int:
        """Send commands beside the stream; the status of the answer."""
        body = {
            "session": self.connect["session"] if session is None else session,
            "node": self.connect["node"] if node is None else node,
            "data": "\n".join(map(json.dumps, commands)),
        }
        async with self.hub.http.post(f"{self.hub.url}/emulation", json=body) as answer:
            return answer.status


@asynccontextmanager
async def streaming(hub: Node, transport: str, *commands: dict[str, Any]) -> AsyncIterator[Stream]:
    text = "\n".join(map(json.dumps, commands))
    url = f"{hub.url}/connection/{transport}"
    request = hub.http.get(url, params={"cf_connect": text}) if transport == "sse" else hub.http.post(url, data=text)
    async with request as reply:
        assert reply.status == 200, await reply.text()
        yield Stream(hub, transport, reply)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_commands_go_beside_the_stream_their_answers_come_on(
    settings: Settings, tmp_path: Path, transport: str
) -> None:
    users = await prepare(settings)
    connect = {"id": 1, "connect": {"token": connection_token()}}
    subscribe = {"id": 2, "subscribe": {"channel": "chat:1"}}
    async with (
        configured(settings, tmp_path, sections=STREAMS) as hub,
        streaming(hub, transport, connect, subscribe) as client,
    ):
        assert client.reply.headers["X-Accel-Buffering"] == "no"
        client.connect = (await client.hear())["connect"]
        assert (await client.hear())["subscribe"]["recoverable"]
        await hub.publish(users["admin"], "chat:1", {"n": 1})
        assert (await client.hear())["push"]["pub"] == {"data": {"n": 1}, "offset": 1}
        more = ({"id": 3, "subscribe": {"channel": "closed:1"}}, {"id": 4, "unsubscribe": {"channel": "chat:1"}})
        assert await client.say(*more) == 204
        assert [(await client.hear())["id"] for _ in more] == [3, 4]
        assert await client.say(subscribe, session="somebody else's") == 404
        assert await client.say(subscribe, node="another") == 404
        assert await client.say({"id": 5, "connect": {}}) == 204
        assert (await client.hear())["push"]["disconnect"] == {"code": 3501, "reason": "bad request"}
        with pytest.raises(EOFError):
            await client.hear()
        assert await client.say(subscribe) == 404


async def test_the_http_stream_speaks_protobuf(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    command = MESSAGES["Command"]
    body = protobuf_wire.delimited(protobuf_wire.encode(command, {"id": 1, "connect": {"token": connection_token()}}))
    octets = {"Content-Type": "application/octet-stream"}
    async with (
        configured(settings, tmp_path, sections=STREAMS) as hub,
        hub.http.post(f"{hub.url}/connection/http_stream", data=body, headers=octets) as reply,
    ):
        assert reply.content_type == "application/octet-stream"

        async def hear() -> dict[str, Any]:
            size = shift = 0
            while True:
                (byte,) = await reply.content.readexactly(1)
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return dict(protobuf_wire.decode(REPLY, await reply.content.readexactly(size)))

        connect = (await hear())["connect"]
        told = protobuf_wire.encode(command, {"id": 2, "subscribe": {"channel": "chat:1"}})
        beside = {"node": connect["node"], "session": connect["session"], "data": protobuf_wire.delimited(told)}
        emulated = protobuf_wire.encode(EMULATION, beside)
        async with hub.http.post(f"{hub.url}/emulation", data=emulated, headers=octets) as answer:
            assert answer.status == 204
        assert (await hear())["subscribe"]["recoverable"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_stream_is_there_only_where_it_is_configured_and_only_for_allowed_origins(
    settings: Settings, tmp_path: Path, transport: str
) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path) as hub:
        async with hub.http.post(f"{hub.url}/connection/{transport}", data=b"{}") as reply:
            assert reply.status == 404
    async with configured(settings, tmp_path, sections=STREAMS) as hub:
        url = f"{hub.url}/connection/{transport}"
        for origin, status in (("https://app.example.com", 204), ("https://evil.example.com", 403)):
            asked = {"Origin": origin, "Access-Control-Request-Headers": "content-type"}
            async with hub.http.options(url, headers=asked) as reply:
                assert reply.status == status
                allowed = reply.headers.get("Access-Control-Allow-Origin")
                assert allowed == (origin if status == 204 else None)
        async with hub.http.post(url, data=b"x" * 70_000) as reply:
            assert reply.status == 413
            assert await reply.json() == {"detail": "The body may have at most 65,536 bytes."}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_goes_away_is_forgotten(settings: Settings, tmp_path: Path, transport: str) -> None:
    await prepare(settings)
    connect = {"id": 1, "connect": {"token": connection_token()}}
    async with configured(settings, tmp_path, sections=STREAMS) as hub:
        async with streaming(hub, transport, connect, {"id": 2, "subscribe": {"channel": "chat:1"}}) as client:
            client.connect = (await client.hear())["connect"]
            await client.hear()
        while await client.say({"id": 3, "ping": {}}) != 404:
            pass
        assert all(partition.listeners == 0 for partition in hub.fold.partitions)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_body_may_come_in_pieces(settings: Settings, tmp_path: Path, transport: str) -> None:
    await prepare(settings)
    text = json.dumps({"id": 1, "connect": {"token": connection_token()}}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(text), 40):
            yield text[at : at + 40]
            await asyncio.sleep(0.01)  # so that they stay pieces

    async with (
        configured(settings, tmp_path, sections=STREAMS) as hub,
        hub.http.post(f"{hub.url}/connection/{transport}", data=pieces(), headers={"Content-Type": ""}) as reply,
    ):
        client = Stream(hub, transport, reply)
        assert (await client.hear())["connect"]["client"]


async def test_a_body_that_does_not_end_is_not_waited_for(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path, sections=STREAMS, stale_close_delay="0.1s") as hub:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(hub.url.rpartition(":")[2]))
        writer.write(b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        async with asyncio.timeout(20):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_stream_nobody_reads_is_cut_when_it_is_closed(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = await prepare(settings)
    monkeypatch.setattr(stream, "CLOSE_GRACE", 0.2)
    commands = [{"id": 1, "connect": {"token": connection_token()}}, {"id": 2, "subscribe": {"channel": "chat:1"}}]
    body = "\n".join(map(json.dumps, commands)).encode()
    async with configured(settings, tmp_path, sections=STREAMS) as hub, asyncio.timeout(60):
        port = int(hub.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)  # takes next to nothing
        head = f"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        node = hub.app[NODE]
        while not node.clients.on("chat:1"):
            await asyncio.sleep(0.01)
        (client,) = node.clients
        while not client.session.behind:  # until the sockets' buffers are full and it waits
            await hub.publish(users["admin"], "chat:1", "x" * 400_000)
        client.end(codes.GONE)
        while len(node.clients):
            await asyncio.sleep(0.01)
        assert all(partition.listeners == 0 for partition in hub.fold.partitions)
        writer.close()
        del reader
