"""Making everything an agent derived again, from `events`.

Each partition in one transaction: its derived rows go, its progress returns to the beginning, and nothing is
published until it is back where it was. Then it catches up, by whoever comes first: this process, or the worker that
has the agent running. The progress row sees to it that there is one writer at a time.
"""

from __future__ import annotations

import asyncpg
import structlog

from streams import agents, catchup, progress
from streams.agent import Agent, Runtime
from streams.catchup import Place
from streams.progress import Mark
from streams.topics import PARTITIONS

log = structlog.get_logger()


class RebuildError(Exception):
    """An agent cannot be rebuilt."""


async def rebuild(pool: asyncpg.Pool, name: str) -> int:
    """Derive everything of an agent again; returns how many events it took. Says how far it is in the log.

    Raises UnknownAgent, RebuildError for an agent without rows, LogMismatch.
    """
    agent = agents.named(name)
    if not agent.tables:
        raise RebuildError(f"The agent {name} keeps no rows, so there is nothing to rebuild.")
    runtime = Runtime(agent, pool, wake=lambda: None)
    await runtime.register()
    total = 0
    for place in catchup.places(agent.topic_names, range(PARTITIONS)):
        taken = await reset(pool, agent, place)
        await runtime.catch_up([place])
        total += taken
        log.info("partition_rebuilt", agent=name, topic=place.topic, partition=place.partition, events=taken)
    return total


async def reset(pool: asyncpg.Pool, agent: Agent, place: Place) -> int:
    """Empty one place of an agent; returns the number it stood at."""
    async with pool.acquire() as connection, connection.transaction():
        mark = (await progress.lock(connection, agent.name, [place]))[place]
        for table in agent.tables:
            await connection.execute(
                f"""DELETE FROM {table} USING events e
                    WHERE e.id = {table}.event_id AND e.topic = $1 AND e.partition = $2 AND e.n <= $3""",
                *place,
                mark.n,
            )
        await connection.execute(
            """UPDATE dead_events SET retried_at = clock_timestamp()
               WHERE agent = $1 AND topic = $2 AND partition = $3 AND retried_at IS NULL""",
            agent.name,
            *place,
        )
        quiet_until = max(mark.n, mark.quiet_until)
        await progress.move(connection, agent.name, {place: Mark(n=0, event_id=0, quiet_until=quiet_until)})
        return mark.n
