"""Hub nodes in this process: the real application on a free port, over the test's own engines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg
import orjson
from aiohttp import web
from aiokafka import AIOKafkaProducer

from hub import live, server, tokens
from hub.access_log import AccessLog
from hub.control import CONTROL, Control
from hub.fold import FOLD, Fold
from hub.presence import PRESENCE, Presence
from models import database
from settings import Settings
from streams import kafka
from streams import log as logs
from streams.envelope import FRAME, PUBLICATION, TICK, publication_headers
from streams.topics import PARTITIONS, PUBLICATIONS, partition_of


@dataclass(frozen=True, kw_only=True)
class Node:
    """A running hub node."""

    url: str
    app: web.Application
    http: aiohttp.ClientSession
    secret: str

    @property
    def fold(self) -> Fold:
        return self.app[FOLD]

    @property
    def control(self) -> Control:
        return self.app[CONTROL]

    @property
    def presence(self) -> Presence:
        return self.app[PRESENCE]

    def token(self, user: int, *, minutes: float = 5) -> str:
        """An access token for a user."""
        return tokens.sign(self.secret, tokens.claim(tokens.Kind.ACCESS, user, minutes))

    def signed(self, user: int) -> dict[str, str]:
        """Headers of a signed-in request."""
        return {"Authorization": f"Bearer {self.token(user)}"}

    @asynccontextmanager
    async def socket(self, path: str, user: int, **params: str | int) -> AsyncIterator[Client]:
        """A client on a plain endpoint, its greeting read."""
        async with self.http.ws_connect(self.url + path, headers=self.signed(user), params=params) as socket:
            yield Client(socket=socket, greeting=await socket.receive_json(timeout=10))

    async def publish(self, user: int, channel: str, data: Any, **more: Any) -> tuple[int, dict[str, Any]]:
        """Status and body of a publish."""
        body = {"channel": channel, "data": data, **more}
        async with self.http.post(f"{self.url}/api/v1/publish/", json=body, headers=self.signed(user)) as reply:
            return reply.status, await reply.json()


@dataclass(kw_only=True)
class Client:
    """What a client sees."""

    socket: aiohttp.ClientWebSocketResponse
    greeting: dict[str, Any]
    closed: tuple[int | None, str | None] | None = None

    def __post_init__(self) -> None:
        self.epoch: str = self.greeting["epoch"]

    async def next(self) -> dict[str, Any]:
        """The next frame. Raises EOFError when the socket is closed, with the code in `closed`."""
        message = await self.socket.receive(timeout=20)
        if message.type is not aiohttp.WSMsgType.TEXT:
            self.closed = (message.data, message.extra)
            raise EOFError(message)
        frame: dict[str, Any] = orjson.loads(message.data)
        if frame["type"] == "position":
            self.epoch = frame["epoch"]
        return frame

    async def take(self, count: int) -> list[dict[str, Any]]:
        """The next frames that have an offset, without position notices."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            frame = await self.next()
            if frame["type"] != "position":
                found.append(frame)
        return found


@asynccontextmanager
async def node(settings: Settings) -> AsyncIterator[Node]:
    """A node that has caught up."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(database.pool(settings.database_url, size=4))
        await stack.enter_async_context(database.orm(settings.database_url, size=2))
        app = server.application(settings, pool)
        live.add(app)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=5, access_log_class=AccessLog)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await app[FOLD].caught_up()
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Node(url=f"http://127.0.0.1:{runner.addresses[0][1]}", app=app, http=http, secret=settings.secret)


class Outside:
    """Writes records to `hub.publications` as relay and other hubs would."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, numbers: dict[int, int]) -> None:
        self._producer = producer
        self._topic = topic
        #: The relay's last number, by partition.
        self.numbers = numbers

    async def frames(self, channel: str, frames: Sequence[Any], *, audience: dict[str, Any] | None = None) -> None:
        """Numbered frames of an agent."""
        partition = partition_of(channel)
        sent = []
        for frame in frames:
            n = self.numbers[partition] = self.numbers.get(partition, 0) + 1
            headers = publication_headers(
                type=FRAME,
                id=str(n),
                time=datetime.now(UTC),
                n=n,
                audience=None if audience is None else orjson.dumps(audience),
            )
            sent.append(await self._send(channel, orjson.dumps(frame), headers, partition))
        for record in sent:
            await record

    async def publications(self, channel: str, data: Sequence[Any], *, ids: Sequence[str]) -> None:
        """Publications from outside."""
        sent = []
        for value, id in zip(data, ids, strict=True):
            headers = publication_headers(type=PUBLICATION, id=id, time=datetime.now(UTC))
            sent.append(await self._send(channel, orjson.dumps(value), headers, partition_of(channel)))
        for record in sent:
            await record

    async def tick(self, partition: int, time: datetime) -> None:
        """Move a partition's time."""
        headers = publication_headers(type=TICK, id="tick", time=time)
        await (await self._producer.send(self._topic, b"", partition=partition, headers=headers))

    async def _send(self, channel: str, value: bytes, headers: Any, partition: int) -> Any:
        return await self._producer.send(self._topic, value, key=channel.encode(), partition=partition, headers=headers)


@asynccontextmanager
async def outside(settings: Settings) -> AsyncIterator[Outside]:
    """A writer of records, beginning at number 1."""
    async with kafka.producer(settings) as producer:
        yield Outside(producer, settings.kafka_prefix + PUBLICATIONS.name, {})


async def prepare(settings: Settings) -> dict[str, int]:
    """Make the log and some users; ids by role."""
    async with database.pool(settings.database_url, size=2) as pool:
        await logs.ensure(settings, pool)
        # `Outside` stands in for the relay: Postgres has given the numbers it uses.
        await pool.execute(
            """INSERT INTO relay_marks (topic, partition, numbered, sent)
               SELECT $1, p, 1000000, 0 FROM generate_series(0, $2 - 1) AS p""",
            PUBLICATIONS.name,
            PARTITIONS,
        )
        return await make_users(pool)


async def make_users(pool: asyncpg.Pool) -> dict[str, int]:
    """One user for each role; ids by role."""
    roles = ("admin", "manager", "sales_rep", "marketing", "customer_support", "viewer")
    rows = await pool.fetch(
        """INSERT INTO crm_users (username, email, password, role)
           SELECT r, r || '@example.com', '!', r FROM unnest($1::text[]) AS r RETURNING id, role""",
        roles,
    )
    return {row["role"]: row["id"] for row in rows}
