"""How far each agent has come: the rows of `agent_progress`, one for each place it reads.

Whoever moves an agent holds its rows, so there is never more than one writer of what it derives, however many
workers believe that a partition is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from streams import catchup
from streams.catchup import Place
from streams.envelope import Event
from streams.topics import PARTITIONS


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Where an agent stands in one place."""

    #: Number of the last event taken; 0 before the first.
    n: int
    #: Id of that event; 0 when there is none or it is not known (after a rebuild).
    event_id: int
    #: Up to and with this number nothing is published, mailed or called.
    quiet_until: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Lag:
    """How far an agent is behind in one place."""

    #: Number of the last event taken.
    n: int
    #: Highest number given out by the relay.
    numbered: int
    #: Highest number known to be on the log.
    sent: int


_ADVANCE = f"""
WITH goal AS (
    SELECT * FROM unnest($7::text[], $8::smallint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
        AS goal(topic, partition, was, quiet_until, n, event_id)
), locked AS MATERIALIZED (
    SELECT topic, partition, n, quiet_until FROM agent_progress
    WHERE agent = $6 AND (topic, partition) IN (SELECT topic, partition FROM goal)
    ORDER BY topic, partition FOR UPDATE
), standing AS (
    SELECT goal.* FROM goal JOIN locked USING (topic, partition, quiet_until) WHERE locked.n = goal.was
), moved AS (
    UPDATE agent_progress p SET n = s.n, event_id = s.event_id, updated_at = clock_timestamp()
    FROM standing s
    WHERE p.agent = $6 AND p.topic = s.topic AND p.partition = s.partition
        AND (SELECT count(*) FROM standing) = cardinality($7)
    RETURNING 1
)
SELECT (SELECT count(*) FROM moved) = cardinality($7) AS moved, stranger.*
FROM (VALUES (1)) AS one LEFT JOIN ({catchup.STRANGER}) AS stranger ON true"""


async def register(connection: asyncpg.Connection, agent: str, topics: Iterable[str]) -> None:
    """Make the rows an agent lacks. It derives from the first event on and publishes only what happens from now on."""
    await connection.execute(
        """INSERT INTO agent_progress (agent, topic, partition, quiet_until)
           SELECT $1, topic, partition, coalesce(numbered, 0)
           FROM unnest($2::text[]) topic CROSS JOIN generate_series(0, $3::int - 1) partition
                LEFT JOIN relay_marks USING (topic, partition)
           ON CONFLICT DO NOTHING""",
        agent,
        list(topics),
        PARTITIONS,
    )


async def lock(connection: asyncpg.Connection, agent: str, places: Iterable[Place]) -> dict[Place, Mark]:
    """Lock an agent's rows for the rest of the transaction, always in the same order."""
    wanted = list(places)
    rows = await connection.fetch(
        """SELECT topic, partition, n, event_id, quiet_until FROM agent_progress
           WHERE agent = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::smallint[]))
           ORDER BY topic, partition FOR UPDATE""",
        agent,
        [place.topic for place in wanted],
        [place.partition for place in wanted],
    )
    return {
        Place(row["topic"], row["partition"]): Mark(
            n=row["n"], event_id=row["event_id"], quiet_until=row["quiet_until"]
        )
        for row in rows
    }


async def advance(
    connection: asyncpg.Connection,
    agent: str,
    was: Mapping[Place, Mark],
    reached: Mapping[Place, Mark],
    events: Sequence[Event],
) -> bool:
    """Lock and move an agent's rows past events the log has brought, in one trip, if they all stand where they did.

    False, with nothing moved, if they do not. Raises LogMismatch if `events` does not have what the log says.
    """
    row = await connection.fetchrow(
        _ADVANCE,
        *catchup.told(events),
        agent,
        [place.topic for place in was],
        [place.partition for place in was],
        [mark.n for mark in was.values()],
        [mark.quiet_until for mark in was.values()],
        [reached[place].n for place in was],
        [reached[place].event_id for place in was],
    )
    if row["id"] is not None:
        raise catchup.strange(row["topic"], row["partition"], row["n"], row["id"])
    return bool(row["moved"])


async def move(connection: asyncpg.Connection, agent: str, marks: Mapping[Place, Mark]) -> None:
    """Write where the agent stands now; the rows are locked."""
    await connection.execute(
        """UPDATE agent_progress p
           SET n = m.n, event_id = m.event_id, quiet_until = m.quiet_until, updated_at = clock_timestamp()
           FROM unnest($2::text[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[])
                AS m(topic, partition, n, event_id, quiet_until)
           WHERE p.agent = $1 AND p.topic = m.topic AND p.partition = m.partition""",
        agent,
        [place.topic for place in marks],
        [place.partition for place in marks],
        [mark.n for mark in marks.values()],
        [mark.event_id for mark in marks.values()],
        [mark.quiet_until for mark in marks.values()],
    )


async def lags(connection: asyncpg.Connection, agents: Iterable[str]) -> dict[tuple[str, Place], Lag]:
    """How far these agents are behind, by agent and place."""
    rows = await connection.fetch(
        """SELECT agent, topic, partition, n, coalesce(numbered, 0) AS numbered, coalesce(sent, 0) AS sent
           FROM agent_progress LEFT JOIN relay_marks USING (topic, partition)
           WHERE agent = ANY($1)""",
        list(agents),
    )
    return {
        (row["agent"], Place(row["topic"], row["partition"])): Lag(
            n=row["n"], numbered=row["numbered"], sent=row["sent"]
        )
        for row in rows
    }


async def behind(pool: asyncpg.Pool) -> bool:
    """Whether there are events without a number, numbered ones Kafka has not acknowledged, or ones an agent lacks."""
    return bool(
        await pool.fetchval(
            """SELECT EXISTS (SELECT FROM events WHERE n IS NULL)
                   OR EXISTS (SELECT FROM relay_marks WHERE sent < numbered)
                   OR EXISTS (SELECT FROM agent_progress JOIN relay_marks m USING (topic, partition)
                              WHERE n < m.numbered)"""
        )
    )
