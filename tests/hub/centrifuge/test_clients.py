"""An official client in both formats: what it sends is read, and it accepts what it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    DeltaType,
    SubscriptionEventHandler,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from hub.centrifuge.codec import Command, WireFormat
from hub.centrifuge.codes import LOST, PERMISSION_DENIED
from hub.centrifuge.fossil import create
from hub.centrifuge.json_codec import JsonFormat
from hub.centrifuge.protobuf_codec import ProtobufFormat

#: The server library frames by itself.
JSON, PROTOBUF = JsonFormat(bytes), ProtobufFormat(bytes)

INFO = {"user": "7", "client": "u", "conn_info": b'{"n":1}'}
TEXTS = [json.dumps({"lead": n, "note": "Zo\u00eb " * 20}, ensure_ascii=False).encode() for n in range(3)]


class Server:
    """Answers each method in one way."""

    def __init__(self, format: WireFormat) -> None:
        self.format = format
        self.heard: list[Command] = []
        self.address = ""

    async def serve(self, socket: ServerConnection) -> None:
        async for frame in socket:
            answers: list[bytes] = []
            for command in self.format.decode(frame):
                self.heard.append(command)
                answers += self.answers(command)
            if answers:
                await socket.send(self.format.frame(*answers), text=self.format is JSON)

    def answers(self, command: Command) -> list[bytes]:
        format, id, request = self.format, command.id, command.request
        match command.method:
            case "connect":
                return [
                    format.reply(id, "connect", {"client": "u", "version": "1", "ping": 25, "pong": True}),
                    format.ping,
                ]
            case "subscribe":
                return self.subscribed(id, request["channel"], bool(request["delta"]))
            case "history":
                publications = [{"data": text, "offset": n} for n, text in enumerate(TEXTS, 1)]
                return [format.reply(id, "history", {"publications": publications, "epoch": "e", "offset": 3})]
            case "presence":
                return [format.reply(id, "presence", {"presence": {"u": INFO}})]
            case "presence_stats":
                return [format.reply(id, "presence_stats", {"num_clients": 2, "num_users": 1})]
            case "rpc":
                return [format.reply(id, "rpc", {"data": request["data"]})]
            case "publish":
                return [format.error(id, PERMISSION_DENIED)]
            case "unsubscribe":
                return [format.reply(id, "unsubscribe", {})]
            case _:
                assert command.pong
                return []

    def subscribed(self, id: int, channel: str, delta: bool) -> list[bytes]:
        """A reply with one recovered publication, live ones, whole and as deltas, and a join."""
        format = self.format
        first = format.delta_data(TEXTS[0]) if delta else TEXTS[0]
        result = {
            "recoverable": True,
            "positioned": True,
            "epoch": "e",
            "offset": 0,
            "recovered": True,
            "was_recovering": True,
            "delta": delta,
            "publications": [{"data": first, "offset": 1, "tags": {"k": "v"}}],
        }
        answers = [format.reply(id, "subscribe", result), format.push(channel, "join", {"info": INFO})]
        for n in (1, 2):
            data = format.delta_data(create(TEXTS[n - 1], TEXTS[n])) if delta else TEXTS[n]
            answers.append(format.publication_push(channel, data, n + 1, {"delta": delta, "info": INFO}))
        if channel == "lost" and [one.request.get("channel") for one in self.heard].count("lost") == 1:
            answers.append(format.push(channel, "unsubscribe", LOST._asdict()))
        return answers


@asynccontextmanager
async def serving(format: WireFormat) -> AsyncIterator[Server]:
    server = Server(format)
    subprotocols = [Subprotocol("centrifuge-protobuf")] if format is PROTOBUF else None
    async with serve(server.serve, "127.0.0.1", 0, subprotocols=subprotocols) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        server.address = f"ws://127.0.0.1:{port}/"
        yield server


class Told(SubscriptionEventHandler):
    """Remembers what a subscription was told."""

    def __init__(self, format: WireFormat, expected: int = len(TEXTS)) -> None:
        self.format = format
        self.expected = expected
        self.subscribing: list[int] = []
        self.publications: list[tuple[int, Any]] = []
        self.joined: list[str] = []
        self.whole = asyncio.Event()

    async def on_publication(self, context: Any) -> None:
        data = context.pub.data
        self.publications.append((context.pub.offset, data if self.format is JSON else json.loads(data)))
        if len(self.publications) == self.expected:
            self.whole.set()

    async def on_subscribing(self, context: Any) -> None:
        self.subscribing.append(context.code)

    async def on_join(self, context: Any) -> None:
        self.joined.append(context.info.user)


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Client]:
    client = Client(server.address, events=ClientEventHandler(), token="t", use_protobuf=server.format is PROTOBUF)
    await client.connect()
    await client.ready()
    yield client
    await client.disconnect()


@pytest.mark.parametrize("format", [JSON, PROTOBUF])
@pytest.mark.parametrize("delta", [None, DeltaType.FOSSIL])
async def test_a_client_reads_its_channel(format: WireFormat, delta: DeltaType | None) -> None:
    async with asyncio.timeout(10), serving(format) as server, connected(server) as client:
        told = Told(format)
        subscription = client.new_subscription("lead:7", events=told, delta=delta, recoverable=True)
        await subscription.subscribe()
        await told.whole.wait()
        assert told.publications == [(n, json.loads(text)) for n, text in enumerate(TEXTS, 1)]
        assert told.joined == ["7"]
    methods = [command.method for command in server.heard if not command.pong]
    assert methods[:2] == ["connect", "subscribe"]
    assert server.heard[0].request["token"] == "t"


@pytest.mark.parametrize("format", [JSON, PROTOBUF])
async def test_a_client_asks(format: WireFormat) -> None:
    def wire(value: Any) -> Any:
        return value if format is JSON else json.dumps(value).encode()

    async with asyncio.timeout(10), serving(format) as server, connected(server) as client:
        history = await client.history("lead:7", limit=-1)
        assert (history.offset, history.epoch, len(history.publications)) == (3, "e", 3)
        presence = await client.presence("lead:7")
        assert presence.clients["u"].conn_info == ({"n": 1} if format is JSON else b'{"n":1}')
        stats = await client.presence_stats("lead:7")
        assert (stats.num_clients, stats.num_users) == (2, 1)
        assert (await client.rpc("echo", wire({"a": [1.5, None]}))).data == wire({"a": [1.5, None]})
        with pytest.raises(CentrifugeError, match="permission denied"):
            await client.publish("lead:7", wire({}))
    assert any(command.pong for command in server.heard)


@pytest.mark.parametrize("format", [JSON, PROTOBUF])
async def test_a_client_comes_back_to_a_channel_it_lost(format: WireFormat) -> None:
    async with asyncio.timeout(10), serving(format) as server, connected(server) as client:
        told = Told(format, expected=2 * len(TEXTS))
        await client.new_subscription("lost", events=told, recoverable=True).subscribe()
        await told.whole.wait()
    assert LOST.code in told.subscribing
    again = [command.request for command in server.heard if command.method == "subscribe"][1]
    assert (again["recover"], again["offset"], again["epoch"]) == (True, 3, "e")
