"""Dead events: what an agent gave up on, kept for an operator to look at and to derive again.

Only an error of the event itself makes one. It is written with the agent's progress, in one transaction, and told on
`hub.dead`. A retry makes that record's derived rows again from all its events, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog
from asyncpg.exceptions import InterfaceError, PostgresError

from models import events as happened
from models.events import NewEvent
from streams import catchup, progress
from streams.catchup import Place
from streams.envelope import Event
from streams.topics import DEAD

if TYPE_CHECKING:
    from streams.agent import Agent

log = structlog.get_logger()

#: Characters of an error that are kept.
LONGEST_ERROR = 2000


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


def is_of_the_event(error: Exception) -> bool:
    """Whether an error raised while deriving is the event's own, so that trying again cannot help.

    Postgres blames the data with classes 22 (data exception) and 23 (integrity); a connection, a timeout, a
    serialisation failure, a full disk or a missing table are nobody's event.
    """
    if isinstance(error, PostgresError):
        return str(getattr(error, "sqlstate", None) or "")[:2] in ("22", "23")
    if isinstance(error, InterfaceError):
        return isinstance(error, ValueError)
    return not isinstance(error, OSError | TimeoutError | MemoryError)


def told(error: Exception) -> str:
    """An error as it is kept and logged."""
    return f"{type(error).__name__}: {error}"[:LONGEST_ERROR]


async def bury(connection: asyncpg.Connection, agent: str, event: Event, error: Exception) -> None:
    """Set an event aside, in the transaction that moves the agent past it."""
    await connection.execute(
        """INSERT INTO dead_events (agent, event_id, topic, partition, n, key, type, error, failed_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())""",
        agent,
        event.id,
        event.topic,
        event.partition,
        event.n,
        event.key,
        event.type,
        told(error),
    )
    await happened.write(
        connection,
        [
            NewEvent(
                topic=DEAD.name,
                key=event.key,
                type="agent.gave_up",
                subject=event.subject,
                data={
                    "agent": agent,
                    "event_id": event.id,
                    "topic": event.topic,
                    "partition": event.partition,
                    "n": event.n,
                    "type": event.type,
                    "error": told(error),
                },
            )
        ],
    )
    log.error("agent_gave_up", agent=agent, event_id=event.id, type=event.type, error=told(error))


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


async def retry(pool: asyncpg.Pool, agent: Agent, dead: DeadEvent) -> None:
    """Derive again the rows of the record a dead event is about, and publish what that event was to publish.

    Any error of the derivation is raised and leaves everything as it was.
    """
    async with pool.acquire() as connection, connection.transaction():
        marks = await progress.lock(connection, agent.name, [dead.place])
        again = await connection.fetch(
            f"""SELECT {COLUMNS} FROM dead_events WHERE retried_at IS NULL AND agent = $1 AND topic = $2
                AND partition = $3 AND key = $4 FOR UPDATE""",
            agent.name,
            *dead.place,
            dead.key,
        )
        mark = marks[dead.place]
        subject = await connection.fetchval("SELECT subject FROM events WHERE id = $1", dead.event_id)
        events = await catchup.of_subject(connection, dead.place, subject, mark.n)
        ids = [event.id for event in events]
        for table in agent.tables:
            await connection.execute(f"DELETE FROM {table} WHERE event_id = ANY($1)", ids)
        loud = {row["event_id"] for row in again if row["n"] > mark.quiet_until}
        await agent.derive(connection, events, set(ids) - loud)
        await connection.execute(
            "UPDATE dead_events SET retried_at = clock_timestamp() WHERE id = ANY($1) AND event_id = ANY($2)",
            [row["id"] for row in again],
            ids,
        )
    log.info("dead_events_retried", agent=agent.name, subject=subject, events=len(ids), retried=len(again))
