"""What the tests of agents share: changes made in a database, numbered as the relay does, and read as the log does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import asyncpg

from models.database import Context, change
from models.events import WAKE_CHANNEL
from streams import catchup, envelope
from streams.agent import Agent, Runtime
from streams.catchup import Place
from streams.envelope import Event
from streams.topics import partition_of

PEOPLE = """
INSERT INTO crm_users (username, email, first_name, last_name, role) VALUES
    ('ada', 'ada@example.com', 'Ada', 'Lovelace', 'admin'),
    ('bob', 'bob@example.com', 'Bob', 'Stone', 'sales_rep'),
    ('cyd', 'cyd@example.com', 'Cyd', 'Moss', 'sales_rep'),
    ('dot', 'dot@example.com', '', '', 'marketing')
RETURNING id
"""


class Story:
    """A database in which things happen."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool

    async def people(self) -> list[int]:
        """Four users: an admin, two sales reps, one in marketing; their ids."""
        async with change(self.pool, Context(source="test")) as connection:
            return [row["id"] for row in await connection.fetch(PEOPLE)]

    async def happen(self, sql: str, *arguments: Any, actor: int | None = None) -> Any:
        """Run one statement in a transaction of its own; returns its first value."""
        context = Context(actor=actor, ip="192.0.2.7", user_agent="pytest", source="test")
        async with change(self.pool, context) as connection:
            return await connection.fetchval(sql, *arguments)

    async def lead(self, name: str, *, actor: int | None = None, owner: int | None = None) -> int:
        """A new lead; its id."""
        lead: int = await self.happen(
            """INSERT INTO crm_leads (first_name, last_name, email, owner_id)
               VALUES ($1, 'Lead', 'lead@example.com', $2) RETURNING id""",
            name,
            owner,
            actor=actor,
        )
        return lead

    async def number(self) -> None:
        """Give every event its number, lowest id first, and call them sent."""
        async with self.pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch("SELECT id, topic, key FROM events WHERE n IS NULL ORDER BY id FOR UPDATE")
            for row in rows:
                place = Place(row["topic"], partition_of(row["key"]))
                n = await connection.fetchval(
                    """INSERT INTO relay_marks AS m (topic, partition, numbered, sent) VALUES ($1, $2, 1, 1)
                       ON CONFLICT (topic, partition) DO UPDATE SET numbered = m.numbered + 1, sent = m.sent + 1
                       RETURNING numbered""",
                    *place,
                )
                await connection.execute(
                    "UPDATE events SET partition = $2, n = $3 WHERE id = $1", row["id"], place.partition, n
                )

    async def log(self, topics: Iterable[str]) -> list[Event]:
        """Every numbered event of these topics as it reads on the log, in the order of ids."""
        rows = await self.pool.fetch(
            f"SELECT {catchup.COLUMNS} FROM events WHERE n IS NOT NULL AND topic = ANY($1) ORDER BY id", list(topics)
        )
        return [envelope.decode(envelope.encode(row, row["n"]), row["topic"], row["partition"]) for row in rows]

    async def until(self, holds: Callable[[], Awaitable[bool]], *, within: float = 60) -> None:
        """Wait until something holds, looking whenever somebody says that events were committed."""
        woken = asyncio.Event()

        def wake(*_: object) -> None:
            woken.set()

        async with asyncio.timeout(within), self.pool.acquire() as connection:
            await connection.add_listener(WAKE_CHANNEL, wake)
            try:
                while not await holds():
                    woken.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), 0.25)
            finally:
                await connection.remove_listener(WAKE_CHANNEL, wake)

    async def taken(self, table: str, events: int, *, within: float = 60) -> None:
        """Wait until a derived table has rows of so many events."""

        async def holds() -> bool:
            count: int = await self.pool.fetchval(f"SELECT count(DISTINCT event_id) FROM {table}")
            return count >= events

        await self.until(holds, within=within)

    async def follow(self, agent: Agent) -> Runtime:
        """An agent that has taken everything so far from `events`."""
        await self.number()
        runtime = await self.runtime(agent)
        await runtime.catch_up(catchup.places(agent.topic_names, range(8)))
        return runtime

    async def runtime(self, agent: Agent) -> Runtime:
        """A registered agent."""
        runtime = Runtime(agent, self.pool, wake=lambda: None)
        await runtime.register()
        return runtime

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a derived table, in the order of events and ids."""
        return [dict(row) for row in await self.pool.fetch(f"SELECT * FROM {table} ORDER BY event_id, id")]

    async def progress(self, agent: Agent) -> dict[Place, int]:
        """Where an agent stands, by place."""
        rows = await self.pool.fetch("SELECT topic, partition, n FROM agent_progress WHERE agent = $1", agent.name)
        return {Place(row["topic"], row["partition"]): row["n"] for row in rows}
