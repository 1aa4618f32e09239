"""Is this still our log, and is it still our Postgres?

Kafka can lose or replace its records and Postgres can be put back to an older state while a node runs. Both show in
numbers that cannot be: an end before what was read already, a number of the relay that Postgres has not given yet.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from streams.log import Log, LogError, current
from streams.topics import PUBLICATIONS

#: Seconds for which records may wait and none be folded, before the consumer counts as stalled.
STALLED = 30.0


class Stalled(Exception):
    """The consumer no longer delivers although there are records; a restart helps."""


async def check_postgres(connection: asyncpg.Connection, log: Log, marks: Sequence[int]) -> None:
    """Whether Postgres knows this log and every number folded. Raises LogError."""
    if (now := await current(connection)).id != log.id:
        raise LogError(
            f"Postgres is on log {now.id} ({now.incarnation}) and this node on log {log.id} ({log.incarnation}): "
            "the log was made anew. Start the hub again."
        )
    rows = await connection.fetch("SELECT partition, numbered FROM relay_marks WHERE topic = $1", PUBLICATIONS.name)
    given = {row["partition"]: row["numbered"] for row in rows}
    for partition, mark in enumerate(marks):
        first_n = log.partitions[PUBLICATIONS.name, partition][1]
        if mark >= first_n and mark > given.get(partition, 0):
            raise LogError(
                f"Partition {partition} of the publications log has number {mark} and Postgres has given "
                f"{given.get(partition, 0)} only: Postgres was put back to an older state. Run `main.py newlog`."
            )


class Progress:
    """Watches the positions of a tail against the ends of the log."""

    def __init__(self) -> None:
        #: Position of each partition, and when it was first seen there or had nothing before it.
        self._since: dict[int, tuple[int, float]] = {}

    def check(self, partition: int, next: int, end: int, now: float) -> None:
        """Compare one partition's position and end, at a time in seconds. Raises LogError or Stalled."""
        if end < next:
            raise LogError(
                f"Partition {partition} of the publications log ends at {end} and this node had read up to {next}: "
                "Kafka has lost records. Run `main.py newlog` and start again."
            )
        position, since = self._since.get(partition, (next, now))
        if position != next or end == next:
            position, since = next, now
        self._since[partition] = position, since
        if now - since >= STALLED:
            raise Stalled(f"partition {partition} of the publications log stands at {next}, its end is {end}")
