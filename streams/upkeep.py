"""What a relay does besides: partitions of `events` made ahead, old publications deleted, requests to send again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import asyncpg
import structlog

from models.events import PARTITION_SPAN
from streams import ledger
from streams.lane import Lane
from streams.layout import Partition
from streams.topics import CONTROL, PUBLICATIONS

log = structlog.get_logger()

#: Partitions of `events` made ahead of the one in use.
AHEAD = 2

#: Topics whose events need not be remembered once Kafka keeps them no longer.
PASSING = frozenset({PUBLICATIONS.name, CONTROL.name})


async def make_partitions(pool: asyncpg.Pool) -> None:
    """Make the partitions of `events` that will be needed next. No writer waits: until one is made, the default serves.

    A partition is attached, not created in place, which locks only the default one; and not for long.
    """
    async with pool.acquire() as connection:
        drawn = await connection.fetchval("SELECT last_value FROM events_id_seq")
        for number in range(drawn // PARTITION_SPAN, drawn // PARTITION_SPAN + AHEAD + 1):
            name, begin = f"events_{number}", number * PARTITION_SPAN
            if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
                continue
            try:
                async with connection.transaction():
                    await connection.execute("SET LOCAL lock_timeout = '100ms'")
                    await connection.execute(f"CREATE TABLE {name} (LIKE events INCLUDING ALL EXCLUDING IDENTITY)")
                    bounds = f"FROM ({begin}) TO ({begin + PARTITION_SPAN})"
                    await connection.execute(f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES {bounds}")
                log.info("events_partition_made", name=name)
            except asyncpg.LockNotAvailableError:
                log.info("events_partition_waits", name=name)
                return
            except asyncpg.CheckViolationError:
                log.warning("events_partition_impossible", name=name, because="the default partition has rows of it")


async def purge(pool: asyncpg.Pool, lanes: Mapping[Partition, Lane]) -> None:
    """Delete publications that Kafka no longer keeps; the last of each partition stays, to be compared with the log."""
    for place, lane in lanes.items():
        while place[0] in PASSING and await ledger.purge(pool, place, below=lane.sent):
            pass


class Requests:
    """Requests by hub nodes that miss numbers: each is carried out once, and removed when that is done."""

    def __init__(self, pool: asyncpg.Pool, publications: Mapping[int, Lane]) -> None:
        self._pool = pool
        self._lanes = publications
        #: When the request under way was made and the number it is done with, by partition.
        self._under_way: dict[int, tuple[datetime, int]] = {}

    async def honour(self) -> None:
        """Begin what was asked for and remove what is done."""
        for row in await self._pool.fetch("SELECT partition, after_n, requested_at FROM resend_requests"):
            partition, lane = row["partition"], self._lanes.get(row["partition"])
            if lane is None:
                continue
            requested_at, until = self._under_way.get(partition, (None, 0))
            if requested_at != row["requested_at"]:
                log.warning("publications_sent_again", partition=partition, after=row["after_n"])
                self._under_way[partition] = (row["requested_at"], lane.numbered)
                lane.send_again(row["after_n"])
            elif lane.has_sent(until):
                await self._pool.execute(
                    "DELETE FROM resend_requests WHERE partition = $1 AND requested_at = $2", partition, requested_at
                )
                del self._under_way[partition]
