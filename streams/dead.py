"""Dead events: what agents gave up on, for an operator to look at and to derive again.

A retry makes the rows of the record again, from all its events in their order, so that it does not matter that later
events of the record have been taken since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import structlog

from streams import agents, catchup, progress
from streams.catchup import Place

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class DeadEvent:
    """One row of `dead_events`."""

    id: int
    agent: str
    event_id: int
    place: Place
    n: int
    key: str
    type: str
    error: str
    failed_at: datetime


COLUMNS = "id, agent, event_id, topic, partition, n, key, type, error, failed_at"


def _dead_event(row: Mapping[str, Any]) -> DeadEvent:
    return DeadEvent(
        id=row["id"],
        agent=row["agent"],
        event_id=row["event_id"],
        place=Place(row["topic"], row["partition"]),
        n=row["n"],
        key=row["key"],
        type=row["type"],
        error=row["error"],
        failed_at=row["failed_at"],
    )


async def list_dead(pool: asyncpg.Pool, agent: str | None = None) -> list[DeadEvent]:
    """Dead events that were not retried with success, oldest first; of one agent or of all."""
    rows = await pool.fetch(
        f"""SELECT {COLUMNS} FROM dead_events
            WHERE retried_at IS NULL AND ($1::text IS NULL OR agent = $1) ORDER BY id""",
        agent,
    )
    return [_dead_event(row) for row in rows]


async def retry(pool: asyncpg.Pool, dead: DeadEvent) -> None:
    """Derive again the rows of the record a dead event is about, and publish what that event was to publish.

    Settles every dead event of that record and agent. An error of the derivation is raised and leaves all as it was.
    """
    agent = agents.named(dead.agent)
    async with pool.acquire() as connection, connection.transaction():
        mark = (await progress.lock(connection, agent.name, [dead.place]))[dead.place]
        subject = await connection.fetchval("SELECT subject FROM events WHERE id = $1", dead.event_id)
        events = await catchup.of_subject(connection, dead.place, subject, mark.n)
        ids = [event.id for event in events]
        for table in agent.tables:
            await connection.execute(f"DELETE FROM {table} WHERE event_id = ANY($1)", ids)
        settled = await _settle(connection, agent.name, ids)
        loud = {event.id for event in events if event.id in settled and event.n > mark.quiet_until}
        await agent.derive(connection, events, set(ids) - loud)
    log.info("dead_event_retried", agent=agent.name, subject=subject, events=len(ids), settled=len(settled))


async def _settle(connection: asyncpg.Connection, agent: str, event_ids: Sequence[int]) -> set[int]:
    """Mark an agent's dead events among these as retried; returns their event ids."""
    rows = await connection.fetch(
        """UPDATE dead_events SET retried_at = clock_timestamp()
           WHERE agent = $1 AND event_id = ANY($2) AND retried_at IS NULL RETURNING event_id""",
        agent,
        event_ids,
    )
    return {row["event_id"] for row in rows}
