"""Databases with tables, as connections and as Tortoise models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
import pytest

from engines.postgres import Postgres
from models import database as databases
from models.database import Context
from models.users import User


@dataclass(frozen=True)
class Store:
    """A fresh database: raw through `pool`, as models through Tortoise."""

    url: str
    pool: asyncpg.Pool

    async def events(self, *, after: int = 0) -> list[dict[str, Any]]:
        """Every event above an id, oldest first, its JSON read."""
        rows = await self.pool.fetch("SELECT * FROM events WHERE id > $1 ORDER BY id", after)
        return [
            {**row, "data": orjson.loads(row["data"]), "context": orjson.loads(row["context"])}
            for row in map(dict, rows)
        ]

    async def last(self) -> int:
        """The id of the newest event."""
        return int(await self.pool.fetchval("SELECT coalesce(max(id), 0) FROM events"))

    async def user(self, name: str = "u", **columns: Any) -> User:
        """A new user."""
        async with databases.transaction(Context(source="test")):
            return await User.create(username=name, email=f"{name}@example.com", **columns)


@pytest.fixture
async def store(database: str, postgres: Postgres) -> AsyncIterator[Store]:
    admin = await asyncpg.connect(postgres.url(database.rpartition("/")[2], admin=True))
    # Concurrent programs run into deadlocks; the default waits a second to see one.
    await admin.execute(f"ALTER DATABASE {database.rpartition('/')[2]} SET deadlock_timeout = '20ms'")
    await admin.close()
    async with databases.pool(database, size=8) as pool, databases.orm(database, size=8):
        yield Store(database, pool)
