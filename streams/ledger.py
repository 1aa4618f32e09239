"""The table `events` as the relay sees it: what has no number yet, giving numbers, and how far each partition was sent.

All of it happens on the one connection that holds the relay's lock, so that whoever lost the lock can write nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from asyncpg.exceptions import DivisionByZeroError

from streams import layout
from streams.envelope import LARGEST_DATA
from streams.floor import Floor
from streams.layout import Partition
from streams.topics import DEAD, PARTITIONS, TOPICS, partition_of

#: Most events numbered, or read again, at once.
ROWS = 2_000
#: And most bytes of their data, as stored.
BYTES = 8_000_000

#: A time no encoder can write must not keep a row from being read.
COLUMNS = f"""id, topic, key, type, subject, context, audience, schema, n,
    least(greatest(at, '0002-01-01'), '9998-01-01') AS at,
    CASE WHEN pg_column_size(data) > 4096 AND octet_length(data::text) > {LARGEST_DATA} THEN NULL ELSE data END AS data,
    stored"""

_SIZED = "*, sum(pg_column_size(data)) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS stored"

#: In the order of id: a snapshot that sees the second change of a row also sees the first, which drew the lower id.
_UNNUMBERED = f"""
SELECT {COLUMNS} FROM (
    SELECT {_SIZED.format(order="id")}
    FROM (SELECT * FROM events WHERE n IS NULL AND id > $1 ORDER BY id LIMIT {ROWS}) AS lowest
) AS sized WHERE stored - pg_column_size(data) < {BYTES} ORDER BY id"""

_NUMBERED = f"""
SELECT {COLUMNS} FROM (
    SELECT {_SIZED.format(order="n")}
    FROM (SELECT * FROM events WHERE topic = $1 AND partition = $2 AND n > $3 AND n <= $4 ORDER BY n LIMIT {ROWS})
    AS lowest
) AS sized WHERE stored - pg_column_size(data) < {BYTES} ORDER BY n"""

_MARKS = """
UPDATE relay_marks m SET numbered = c.numbered, sent = c.sent
FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS c (topic, partition, numbered, sent, was)
WHERE m.topic = c.topic AND m.partition = c.partition AND m.numbered = c.was RETURNING 1"""

_EVENTS = """
UPDATE events e SET topic = g.topic, partition = g.partition, n = g.n
FROM unnest($6::bigint[], $7::text[], $8::smallint[], $9::bigint[]) AS g (id, topic, partition, n)
WHERE e.id = g.id AND e.n IS NULL AND e.id BETWEEN $10 AND $11 RETURNING 1"""

#: One statement, so one round trip and one transaction; where not every row was as it was read, it fails by dividing
#: by zero, and nothing is written.
_MARK = f"""
WITH marks AS ({_MARKS}) SELECT 1 / ((SELECT count(*) FROM marks) = cardinality($1))::int"""

_NUMBER = f"""
WITH marks AS ({_MARKS}), numbered AS ({_EVENTS})
SELECT 1 / ((SELECT count(*) FROM marks) = cardinality($1) AND
            (SELECT count(*) FROM numbered) = cardinality($6))::int"""

_NAMES = frozenset(topic.name for topic in TOPICS)

Row = Mapping[str, Any]


class MarksMoved(Exception):
    """Rows the relay had read were changed by somebody else: Postgres was put back, or edited by hand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """How far a partition has come."""

    #: Highest number given out.
    numbered: int
    #: Highest number Kafka has acknowledged.
    sent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """An event with its place on the log."""

    place: Partition
    n: int
    row: Row


class Ledger:
    """Reads and writes on the relay's own connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.floor = Floor(connection)

    async def marks(self) -> dict[Partition, Mark]:
        """The mark of every partition, made at 0 where there is none."""
        await self._connection.execute(
            """INSERT INTO relay_marks (topic, partition)
               SELECT topic, partition FROM unnest($1::text[]) AS topic, generate_series(0, $2::int - 1) AS partition
               ON CONFLICT DO NOTHING""",
            sorted(_NAMES),
            PARTITIONS,
        )
        rows = await self._connection.fetch("SELECT topic, partition, numbered, sent FROM relay_marks")
        return {(r["topic"], r["partition"]): Mark(numbered=r["numbered"], sent=r["sent"]) for r in rows}

    async def unnumbered(self) -> tuple[list[Row], bool]:
        """The lowest visible events without a number, in the order of id, and whether there may be more.

        All of them must be numbered before the next call.
        """
        rows = await self._connection.fetch(_UNNUMBERED, self.floor.value)
        more = len(rows) == ROWS or (bool(rows) and rows[-1]["stored"] >= BYTES)
        self.floor.taken(until=rows[-1]["id"] if more else None)
        return rows, more

    async def number(
        self, rows: Sequence[Row], marks: dict[Partition, Mark], sent: Mapping[Partition, int]
    ) -> list[Numbered]:
        """Give rows the next numbers of their partitions, in one transaction with the marks; `marks` is updated.

        `sent` is what Kafka has acknowledged meanwhile. A row for a topic there is none of goes to `hub.dead`, so that
        it holds up nothing. Raises MarksMoved.
        """
        after = marks | _moved(marks, sent)
        given = []
        for row in rows:
            place = (row["topic"] if row["topic"] in _NAMES else DEAD.name, partition_of(row["key"]))
            mark = after[place]
            after[place] = Mark(numbered=mark.numbered + 1, sent=mark.sent)
            given.append(Numbered(place=place, n=mark.numbered + 1, row=row))
        changed = {place: mark for place, mark in after.items() if mark != marks[place]}
        await self._write(_NUMBER, changed, marks, given)
        marks.update(changed)
        return given

    async def sent(self, sent: Mapping[Partition, int], marks: dict[Partition, Mark]) -> None:
        """Move marks up to what Kafka has acknowledged; `marks` is updated. Raises MarksMoved."""
        changed = _moved(marks, sent)
        await self._write(_MARK, changed, marks)
        marks.update(changed)

    async def _write(
        self,
        statement: str,
        changed: Mapping[Partition, Mark],
        was: Mapping[Partition, Mark],
        given: Sequence[Numbered] | None = None,
    ) -> None:
        arguments: list[Any] = [
            [topic for topic, _ in changed],
            [partition for _, partition in changed],
            [mark.numbered for mark in changed.values()],
            [mark.sent for mark in changed.values()],
            [was[place].numbered for place in changed],
        ]
        if given is not None:
            arguments += [
                [g.row["id"] for g in given],
                [g.place[0] for g in given],
                [g.place[1] for g in given],
                [g.n for g in given],
                given[0].row["id"],
                given[-1].row["id"],
            ]
        try:
            await self._connection.execute(statement, *arguments)
        except DivisionByZeroError:
            raise MarksMoved from None


def _moved(marks: Mapping[Partition, Mark], sent: Mapping[Partition, int]) -> dict[Partition, Mark]:
    return {place: Mark(numbered=marks[place].numbered, sent=n) for place, n in sent.items()}


async def numbered(pool: asyncpg.Pool, place: Partition, *, after: int, until: int) -> list[Numbered]:
    """Events of a partition that have their numbers, those above `after` up to `until` at most, in order."""
    rows = await pool.fetch(_NUMBERED, *place, after, until)
    return [Numbered(place=place, n=row["n"], row=row) for row in rows]


async def purge(pool: asyncpg.Pool, place: Partition, *, below: int) -> int:
    """Delete up to 500 events of a partition numbered below `below` that Kafka no longer keeps; how many there were."""
    done = await pool.execute(
        """DELETE FROM events WHERE id IN (
               SELECT id FROM (
                   SELECT id, at FROM events WHERE topic = $1 AND partition = $2 AND n < $3 ORDER BY n LIMIT 500
               ) AS oldest WHERE at < clock_timestamp() - make_interval(days => $4))""",
        *place,
        below,
        layout.RETENTION_DAYS,
    )
    return int(done.removeprefix("DELETE "))


async def backlog(pool: asyncpg.Pool, *, above: int) -> int:
    """Events without a number, counted up to 100,000."""
    query = "SELECT count(*) FROM (SELECT FROM events WHERE n IS NULL AND id > $1 LIMIT 100000) AS waiting"
    return int(await pool.fetchval(query, above))
