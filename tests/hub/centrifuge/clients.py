"""A node configured for tests, and clients on it: one that says exactly what it is told, and the official one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

from hub.centrifuge.node import NODE
from settings import Settings
from tests.hub.nodes import Node, node

KEY = "the key of the application's backend, 32 bytes"

CONFIGURATION: dict[str, Any] = {
    "client": {
        "token": {"hmac_secret_key": KEY},
        "allowed_origins": ["https://app.example.com"],
        "subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "own"},
        "channel_limit": 8,
    },
    "channel": {
        "namespaces": [
            {
                "name": "chat",
                "history_size": 100,
                "history_ttl": "1h",
                "force_recovery": True,
                "allow_subscribe_for_client": True,
                "allow_publish_for_subscriber": True,
                "allow_history_for_subscriber": True,
            },
            {
                "name": "latest",
                "history_size": 10,
                "history_ttl": "1h",
                "force_recovery": True,
                "force_recovery_mode": "cache",
                "allow_subscribe_for_client": True,
            },
            {"name": "own", "history_size": 10, "history_ttl": "1h", "force_recovery": True},
            {"name": "closed"},
            {"name": "room", "allow_user_limited_channels": True},
        ]
    },
}

#: A namespace whose clients are told who joins and leaves.
LOBBY: dict[str, Any] = {
    "name": "lobby",
    "presence": True,
    "join_leave": True,
    "force_push_join_leave": True,
    "allow_subscribe_for_client": True,
    "allow_presence_for_subscriber": True,
}


def connection_token(user: str = "u1", *, life: float = 3600, key: str = KEY, **claims: Any) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time() + life), **claims}, key, algorithm="HS256")


@asynccontextmanager
async def configured(
    settings: Settings, tmp_path: Path, *, sections: Mapping[str, Any] | None = None, **client: Any
) -> AsyncIterator[Node]:
    """A node with the configuration above, more sections, and changes to `client`."""
    file = tmp_path / "config.json"
    changed = {**CONFIGURATION, **(sections or {}), "client": {**CONFIGURATION["client"], **client}}
    file.write_text(json.dumps(changed))
    async with node(replace(settings, config=str(file))) as hub:
        yield hub


@asynccontextmanager
async def two(
    settings: Settings, tmp_path: Path, *, sections: Mapping[str, Any] | None = None, **client: Any
) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes that know of each other."""
    async with (
        configured(settings, tmp_path, sections=sections, **client) as one,
        configured(settings, tmp_path, sections=sections, **client) as other,
    ):
        async with asyncio.timeout(20):
            while not all(len(hub.app[NODE].control.nodes()) == 2 for hub in (one, other)):
                await asyncio.sleep(0.02)
        yield one, other


class Raw:
    """A client that says exactly what it is told, in JSON."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.close_code: int | None = None
        self._read: list[dict[str, Any]] = []

    async def say(self, *commands: dict[str, Any]) -> None:
        await self.socket.send_str("\n".join(map(json.dumps, commands)))

    async def hear(self) -> dict[str, Any]:
        """The next object that is no ping. Raises EOFError with the close code."""
        while True:
            while self._read:
                if found := self._read.pop(0):
                    return found
                await self.socket.send_str("{}")
            message = await self.socket.receive(timeout=20)
            if message.type is not aiohttp.WSMsgType.TEXT:
                # Not the socket's own: it takes another if the server has hung up before it answers the close.
                closed = message.type is aiohttp.WSMsgType.CLOSE
                self.close_code = message.data if closed else self.socket.close_code
                raise EOFError(self.close_code)
            self._read = [json.loads(line) for line in message.data.split("\n")]

    async def ask(self, id: int, **command: Any) -> dict[str, Any]:
        await self.say({"id": id, **command})
        return await self.hear()

    async def connected(self, token: str) -> dict[str, Any]:
        reply: dict[str, Any] = (await self.ask(1, connect={"token": token}))["connect"]
        return reply

    async def closed(self) -> int | None:
        with suppress(EOFError):
            while True:
                await self.hear()
        return self.close_code


@asynccontextmanager
async def raw(hub: Node, **options: Any) -> AsyncIterator[Raw]:
    async with hub.http.ws_connect(f"{hub.url}/connection/websocket", **options) as socket:
        yield Raw(socket)


class Told(SubscriptionEventHandler):
    """Remembers publications and how often it had to subscribe."""

    def __init__(self) -> None:
        self.publications: list[tuple[int, Any]] = []
        self.subscribed: list[Any] = []
        self.changed = asyncio.Event()

    async def on_publication(self, context: Any) -> None:
        self.publications.append((context.pub.offset, context.pub.data))
        self.changed.set()

    async def on_subscribed(self, context: Any) -> None:
        self.subscribed.append(context)
        self.changed.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def official(hub: Node, token: str, *, protobuf: bool = False) -> AsyncIterator[Client]:
    async def get_token(*_: Any) -> str:
        return token

    client = Client(
        hub.url.replace("http", "ws") + "/connection/websocket",
        events=ClientEventHandler(),
        token=token,
        get_token=get_token,
        use_protobuf=protobuf,
    )
    await client.connect()
    await client.ready()
    try:
        yield client
    finally:
        await client.disconnect()
