"""A hub's REST side over a fresh database, and people who call it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import orjson
from aiohttp import web

from hub import server, tokens
from hub.access_log import AccessLog
from models import database as databases
from models.access import Role
from models.database import Context
from models.users import User
from settings import Settings

SECRET = "a secret for tests, long enough for HS256"

#: What a new record needs.
LEAD = {"first_name": "Ida", "last_name": "Holt", "email": "ida@example.com"}
CONTACT = {"first_name": "Kai", "last_name": "Brandt", "email": "kai@example.com"}


@dataclass(frozen=True)
class Answer:
    """What the hub answered."""

    status: int
    body: Any
    headers: Any


@dataclass(frozen=True)
class Caller:
    """Somebody with a token; `id` is 0 for nobody."""

    http: aiohttp.ClientSession
    url: str
    id: int = 0
    token: str = ""

    async def call(self, method: str, path: str, body: Any = None, *, key: str = "", **options: Any) -> Answer:
        """Call a path; a body that is not bytes goes as JSON."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        headers |= options.pop("headers", {})
        text = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        data = None if text is None else io.BytesIO(text)
        async with self.http.request(method, self.url + path, data=data, headers=headers, **options) as reply:
            said = await reply.read()
            return Answer(reply.status, orjson.loads(said) if said else None, reply.headers)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def patch(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.call("PATCH", path, body, **options)

    async def put(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.call("PUT", path, body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.call("DELETE", path, **options)


@dataclass(frozen=True)
class Rest:
    """The hub and its database."""

    app: web.Application
    http: aiohttp.ClientSession
    url: str
    pool: asyncpg.Pool

    @property
    def nobody(self) -> Caller:
        """Somebody without a token."""
        return Caller(self.http, self.url)

    async def user(self, role: Role = Role.ADMIN, **columns: Any) -> Caller:
        """A new user, signed in."""
        name = columns.pop("username", None) or f"{role}{await User.all().count()}"
        async with databases.transaction(Context(source="test")):
            user = await User.create(username=name, email=f"{name}@example.com", role=role, **columns)
        return Caller(self.http, self.url, user.id, token(user.id))

    async def changes(self) -> int:
        """How many events there are."""
        return int(await self.pool.fetchval("SELECT count(*) FROM events"))

    async def blocked(self, count: int) -> None:
        """Wait until so many connections wait for a lock."""
        waiting = 0
        while waiting < count:
            waiting = await self.pool.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted"
                " AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
            )


def token(user_id: int, *, kind: tokens.Kind = tokens.Kind.ACCESS, minutes: float = 5) -> str:
    """A signed token."""
    return tokens.sign(SECRET, tokens.claim(kind, user_id, minutes))


#: No test is held up by how many requests it makes, unless that is what it is about.
UNRATED = {"user_rate": 0, "address_rate": 0}


@asynccontextmanager
async def serve(url: str, **given: Any) -> AsyncIterator[Rest]:
    """The REST side of a hub over the database at `url`, with these settings."""
    settings = Settings(**{"database_url": url, "kafka": "none needed", "secret": SECRET, **UNRATED, **given})
    async with databases.pool(url, size=8) as pool, databases.orm(url, size=8), aiohttp.ClientSession() as http:
        app = server.application(settings, pool)
        runner = web.AppRunner(app, handler_cancellation=True, access_log_class=AccessLog)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        try:
            yield Rest(app, http, f"http://{host}:{port}", pool)
        finally:
            await runner.cleanup()
