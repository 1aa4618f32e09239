"""The log: the set of Kafka topics in use now, and its incarnation.

Kafka can be lost, replaced or put back, and so can Postgres. Whoever keeps a Kafka position therefore keeps with it the
id of the log it is a position in. A log is one row of `logs` (the highest id is the current one) and, for each
partition, where it begins: the first Kafka offset, and the first of the relay's numbers that is sent to it. Numbers go
on from log to log; what has a lower number is read from `events`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import asyncpg
import structlog

from settings import Settings
from streams import kafka, layout
from streams.layout import Partition
from streams.topics import PARTITIONS, TOPICS

log = structlog.get_logger()

#: Advisory lock of the one relay that leads. Nobody else may move numbers, marks or the log.
RELAY_LOCK = 0x5B0A_0001
#: Advisory lock of the one process that makes topics.
TOPICS_LOCK = 0x5B0A_0002


class LogError(Exception):
    """The log is not the one Postgres knows, or cannot be made; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """One incarnation of the log."""

    id: int
    #: Eight hex digits; the first part of every channel epoch.
    incarnation: str
    #: First Kafka offset and first of the relay's numbers, by (topic, partition).
    partitions: Mapping[Partition, tuple[int, int]]


async def current(connection: asyncpg.Connection) -> Log:
    """The log in use. Raises LogError when none was made yet."""
    found = await _current(connection)
    if found is None:
        raise LogError("There is no log yet; run `main.py migrate`.")
    return found


async def verify(settings: Settings, log: Log) -> None:
    """Raise LogError unless Kafka has the log's topics with their partitions; KafkaError while Kafka is away."""
    async with kafka.admin(settings) as admin:
        _check(await layout.partitions(admin, settings, {topic for topic, _ in log.partitions}))


async def ensure(settings: Settings, pool: asyncpg.Pool) -> Log:
    """The log in use, its topics made or checked. Raises LogError, and KafkaError while Kafka is away."""
    async with kafka.admin(settings) as admin, pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", TOPICS_LOCK)
        found = await _current(connection)
        known = {topic for topic, _ in found.partitions} if found else set()
        _check(await layout.partitions(admin, settings, known))
        new = [topic.name for topic in TOPICS if topic.name not in known]
        if not new:
            return await current(connection)
        with _as_log_error():
            await layout.make(admin, settings, new)
            _check(await layout.partitions(admin, settings, new))
            ends = await layout.ends(settings, new)
        if any(ends.values()):
            raise LogError(
                f"Kafka already holds records in topics such as {settings.kafka_prefix}{new[0]} that this database "
                "knows nothing of. Run `main.py newlog` to delete them, or choose another HUB_KAFKA_PREFIX."
            )
        if found is None:
            await _add_log(connection)
        await _add_partitions(connection, ends)
        return await current(connection)


async def new_log(settings: Settings, pool: asyncpg.Pool) -> Log:
    """Delete the topics, make them anew and begin the next log; numbers go on where the last one ended.

    A relay that leads now is put out of office first; it comes back and reads the new log. Run it with hubs and
    workers stopped, or restart them after. Raises LogError, and KafkaError while Kafka is away.
    """
    async with pool.acquire() as connection, _without_relay(connection), kafka.admin(settings) as admin:
        await connection.execute("SELECT pg_advisory_lock($1)", TOPICS_LOCK)
        names = [topic.name for topic in TOPICS]
        with _as_log_error():
            await layout.replace(admin, settings, names)
            ends = await layout.ends(settings, names)
        async with connection.transaction():
            await _add_log(connection)
            await _add_partitions(connection, ends)
            await connection.execute("DELETE FROM resend_requests")
        made = await current(connection)
        log.info("log_made", log=made.id, incarnation=made.incarnation)
        return made


async def _current(connection: asyncpg.Connection) -> Log | None:
    row = await connection.fetchrow("SELECT id, incarnation FROM logs ORDER BY id DESC LIMIT 1")
    if row is None:
        return None
    rows = await connection.fetch(
        "SELECT topic, partition, first_offset, first_n FROM log_partitions WHERE log_id = $1", row["id"]
    )
    return Log(
        id=row["id"],
        incarnation=row["incarnation"],
        partitions={(r["topic"], r["partition"]): (r["first_offset"], r["first_n"]) for r in rows},
    )


async def _add_log(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO logs (incarnation, created_at) VALUES ($1, clock_timestamp())", secrets.token_hex(4)
    )


async def _add_partitions(connection: asyncpg.Connection, ends: Mapping[Partition, int]) -> None:
    """Begin partitions of the newest log: at these offsets, and at the first number not yet sent."""
    await connection.execute(
        """INSERT INTO log_partitions (log_id, topic, partition, first_offset, first_n)
           SELECT (SELECT max(id) FROM logs), p.topic, p.partition, p.first_offset, coalesce(m.sent, 0) + 1
           FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS p (topic, partition, first_offset)
                LEFT JOIN relay_marks m USING (topic, partition)""",
        [topic for topic, _ in ends],
        [partition for _, partition in ends],
        list(ends.values()),
    )


@asynccontextmanager
async def _without_relay(connection: asyncpg.Connection, *, within: float = 15.0) -> AsyncIterator[None]:
    """Hold the relay's lock, ending the session of the relay that has it."""
    deadline = asyncio.get_running_loop().time() + within
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", RELAY_LOCK):
        if asyncio.get_running_loop().time() > deadline:
            raise LogError("A relay does not give up its lock; stop the workers and try again.")
        await connection.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_locks
               WHERE locktype = 'advisory' AND (classid, objid, objsubid) = (0, $1, 1) AND granted
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())""",
            RELAY_LOCK,
        )
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock_all()")


def _check(counts: Mapping[str, int]) -> None:
    """Raise LogError unless each topic has its partitions."""
    for topic, count in counts.items():
        if count == 0:
            raise LogError(f"Kafka has no topic {topic} any more; run `main.py newlog` to go on with a new log.")
        if count != PARTITIONS:
            raise LogError(f"Topic {topic} has {count} partitions, not {PARTITIONS}; run `main.py newlog`.")


@contextmanager
def _as_log_error() -> Iterator[None]:
    try:
        yield
    except layout.LayoutError as error:
        raise LogError(str(error)) from error
    except TimeoutError as error:
        raise LogError("Kafka did not make the topics in time; stop hubs and workers and try again.") from error
