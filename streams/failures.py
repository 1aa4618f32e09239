"""When an agent fails by an event: whose fault it is, and setting the event aside.

Only an error of the event itself makes a dead event. It is written with the agent's progress, in one transaction,
and told on `hub.dead`.
"""

from __future__ import annotations

import asyncpg
import structlog
from asyncpg.exceptions import InterfaceError, InternalClientError, PostgresError

from models import events as happened
from models.events import NewEvent
from streams.envelope import Event
from streams.topics import DEAD

log = structlog.get_logger()

#: Characters of an error that are kept.
LONGEST_ERROR = 2000


def is_of_the_event(error: Exception) -> bool:
    """Whether an error raised while deriving is the event's own, so that trying again cannot help.

    Postgres blames the data with classes 22 (data exception) and 23 (integrity); a connection, a timeout, a
    serialisation failure, a full disk or a missing table are nobody's event.
    """
    if isinstance(error, PostgresError):
        return str(getattr(error, "sqlstate", None) or "")[:2] in ("22", "23")
    if isinstance(error, InterfaceError):
        return isinstance(error, ValueError)
    return not isinstance(error, InternalClientError | OSError | TimeoutError | MemoryError)


def told(error: Exception) -> str:
    """An error as it is kept and logged."""
    return f"{type(error).__name__}: {error}"[:LONGEST_ERROR]


async def bury(
    connection: asyncpg.Connection, agent: str, event: Event, error: Exception, *, quiet: bool = False
) -> None:
    """Set an event aside, in the transaction that moves the agent past it. A quiet one is not told on `hub.dead`."""
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
    if not quiet:
        await happened.write(connection, [_announcement(agent, event, error)])
    log.error("agent_gave_up", agent=agent, event_id=event.id, type=event.type, error=told(error))


def _announcement(agent: str, event: Event, error: Exception) -> NewEvent:
    return NewEvent(
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
