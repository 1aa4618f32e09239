"""Reading `events` back: what an agent missed, what is too large for the log, what a record was.

Kafka delivers, Postgres remembers. Whatever an agent has not taken from the log it takes from here: the same events,
by the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import asyncpg

from streams import exact
from streams.envelope import Event


class Place(NamedTuple):
    """One partition of one topic; numbers are dense within it."""

    topic: str
    partition: int


class LogMismatch(Exception):
    """The log and the table `events` do not tell the same story."""


#: Most bytes of data, as stored, that are read at once, and most events whose data stayed in Postgres.
BYTES = 8_000_000
LARGE = 8

#: The relay writes times within these bounds only; no record has others.
AT = "least(greatest({0}at, '0002-01-01'), '9998-01-01')"

COLUMNS = f"id, {AT.format('')} AS at, topic, partition, n, key, type, subject, data, context, schema"


def _mismatch(place: Place, what: str) -> LogMismatch:
    return LogMismatch(
        f"{place.topic}/{place.partition}: {what}. Postgres was restored or failed over with loss under a live log; "
        "run `main.py newlog`, then start again."
    )


def _data(text: str) -> dict[str, Any]:
    """An event's data; what cannot be read has the reason in its place, so that it is the event that fails."""
    try:
        data: dict[str, Any] = exact.loads(text)
    except ValueError as error:
        return {"unreadable": str(error)}
    return data


def event_of(row: Mapping[str, Any]) -> Event:
    """The Event of a numbered row of `events` (its `data` and `context` are JSON text)."""
    return Event(
        id=row["id"],
        topic=row["topic"],
        partition=row["partition"],
        n=row["n"],
        key=row["key"],
        type=row["type"],
        subject=row["subject"],
        time=row["at"],
        data=_data(row["data"]),
        context=exact.loads(row["context"]),
        schema=row["schema"],
    )


async def after(connection: asyncpg.Connection, place: Place, mark: int, limit: int) -> list[Event]:
    """The next events of a place above `mark`, dense from mark + 1, at most `limit` and about BYTES.

    Raises LogMismatch where one is missing.
    """
    rows = await connection.fetch(
        f"""SELECT {COLUMNS} FROM (
                SELECT *, sum(pg_column_size(data)) OVER (ORDER BY n ROWS UNBOUNDED PRECEDING) AS stored
                FROM (SELECT * FROM events WHERE topic = $1 AND partition = $2 AND n > $3 ORDER BY n LIMIT $4) lowest
            ) sized WHERE stored - pg_column_size(data) < {BYTES} ORDER BY n""",
        *place,
        mark,
        limit,
    )
    events = [event_of(row) for row in rows]
    for n, event in enumerate(events, mark + 1):
        if event.n != n:
            raise _mismatch(place, f"the events table has number {event.n} but not {n}")
    return events


async def of_subject(connection: asyncpg.Connection, place: Place, subject: str, upto: int) -> list[Event]:
    """Every event about one subject in a place, up to and with number `upto`, in order."""
    rows = await connection.fetch(
        f"""SELECT {COLUMNS} FROM events
            WHERE subject = $1 AND topic = $2 AND partition = $3 AND n <= $4 ORDER BY n""",
        subject,
        *place,
        upto,
    )
    return [event_of(row) for row in rows]


#: The first event of the log ($1 to $5 of a query) that is not what `events` has: same id, number and time.
STRANGER = f"""
SELECT log.topic, log.partition, log.n, log.id
FROM unnest($1::bigint[], $2::text[], $3::smallint[], $4::bigint[], $5::timestamptz[])
    AS log(id, topic, partition, n, at)
LEFT JOIN events e ON e.id = log.id
WHERE (e.topic, e.partition, e.n, {AT.format("e.")}) IS DISTINCT FROM (log.topic, log.partition, log.n, log.at)
ORDER BY log.topic, log.partition, log.n LIMIT 1"""


def told(events: Sequence[Event]) -> tuple[list[Any], ...]:
    """What the log said of these events, as $1 to $5 of STRANGER."""
    return (
        [e.id for e in events],
        [e.topic for e in events],
        [e.partition for e in events],
        [e.n for e in events],
        [e.time for e in events],
    )


def strange(topic: str, partition: int, n: int, event_id: int) -> LogMismatch:
    """The error for what STRANGER finds."""
    return _mismatch(
        Place(topic, partition), f"the log has event {event_id} as number {n}, which the events table does not"
    )


async def confirm(connection: asyncpg.Connection, events: Sequence[Event]) -> None:
    """Check that what the log said is what `events` has. Raises LogMismatch if not."""
    if (row := await connection.fetchrow(STRANGER, *told(events))) is not None:
        raise strange(*row)


def repeated(place: Place, event: Event, event_id: int) -> None:
    """Check that a record numbered like the last one taken is that one. Raises LogMismatch if it is another."""
    if event.id != event_id:
        raise _mismatch(place, f"number {event.n} was event {event_id} and is event {event.id} in the log")


def beyond(place: Place, goal: int, last: int) -> LogMismatch:
    """The error for a log that is ahead of `events`."""
    return _mismatch(place, f"the log has number {goal}, the events table ends at {last}")


async def with_data(connection: asyncpg.Connection, events: Sequence[Event]) -> list[Event]:
    """The same events, those whose data stayed in Postgres (`dataref`) with it."""
    absent = [e.id for e in events if e.data is None]
    if not absent:
        return list(events)
    rows = await connection.fetch("SELECT id, data FROM events WHERE id = ANY($1)", absent)
    data = {row["id"]: _data(row["data"]) for row in rows}
    return [e if e.data is not None else replace(e, data=data[e.id]) for e in events]


def places(topics: Iterable[str], partitions: Iterable[int]) -> list[Place]:
    """Every partition of these topics, in the order in which progress rows are locked."""
    numbers = list(partitions)
    return [Place(topic, partition) for topic in sorted(topics) for partition in numbers]
