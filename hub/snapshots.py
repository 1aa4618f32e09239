"""Snapshots of the fold, kept in Postgres: where a node begins, and where a read of the older log begins.

Any node writes them; one that finds a recent one of another node's leaves it at that. They belong to one incarnation
of the log, and each carries the timestamp of the record it stands on, so that it knows its log again.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg
import structlog

from actors.log import State
from actors.messages import Snapshot
from actors.snapshot import Restored, SnapshotError, decode

log = structlog.get_logger()

#: Records of a partition between two snapshots, at least.
SPACING = 1_000

#: Snapshots older than an hour are thinned out to one in so many records.
THINNED = 20_000


class Snapshots:
    """The snapshots of one log."""

    def __init__(self, pool: asyncpg.Pool, log_id: int) -> None:
        self._pool = pool
        self._log = log_id

    async def offsets(self, partition: int, *, above: int, below: int) -> list[int]:
        """Kafka offsets of snapshots from `above` to `below` (both included), ascending."""
        rows = await self._pool.fetch(
            """SELECT kafka_offset FROM channel_snapshots
               WHERE log_id = $1 AND partition = $2 AND kafka_offset BETWEEN $3 AND $4 ORDER BY kafka_offset""",
            self._log,
            partition,
            above,
            below,
        )
        return [row["kafka_offset"] for row in rows]

    async def load(self, partition: int, offset: int) -> Restored | None:
        """What was at this Kafka offset; None if it was thinned out meanwhile or is of a format not read here."""
        raw = await self._pool.fetchval(
            "SELECT state FROM channel_snapshots WHERE log_id = $1 AND partition = $2 AND kafka_offset = $3",
            self._log,
            partition,
            offset,
        )
        try:
            return None if raw is None else decode(raw)
        except SnapshotError as error:
            log.warning("snapshot_not_read", partition=partition, offset=offset, error=str(error))
            return None

    async def newest(
        self, partition: int, *, above: int, below: int, usable: Callable[[State], bool] = lambda _: True
    ) -> Restored | None:
        """The newest from `above` to `below` that is usable; whatever is older than a usable one must be too."""
        offsets = await self.offsets(partition, above=above, below=below)
        found = None
        low, high = 0, len(offsets)
        middle = high - 1  # most want the newest
        while low < high:
            restored = await self.load(partition, offsets[middle])
            if restored is not None and usable(restored.state):
                found, low = restored, middle + 1
            else:
                high = middle
            middle = (low + high) // 2
        return found

    async def due(self, offsets: list[int]) -> list[int]:
        """Of the partitions that stand at these Kafka offsets, those whose last snapshot lies far enough back."""
        rows = await self._pool.fetch(
            "SELECT partition, max(kafka_offset) AS last FROM channel_snapshots WHERE log_id = $1 GROUP BY 1", self._log
        )
        last = {row["partition"]: row["last"] for row in rows}
        return [p for p, offset in enumerate(offsets) if offset - last.get(p, 0) >= SPACING]

    async def add(self, partition: int, snapshot: Snapshot, *, beginning: int) -> None:
        """Keep a snapshot, and only some of the older ones; none from before the log's `beginning`."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """INSERT INTO channel_snapshots (log_id, partition, kafka_offset, record_timestamp, state)
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING""",
                self._log,
                partition,
                snapshot.next,
                snapshot.timestamp,
                snapshot.state,
            )
            await connection.execute(
                """DELETE FROM channel_snapshots s
                   WHERE log_id < $1 OR log_id = $1 AND partition = $2 AND (
                         kafka_offset < $3
                         OR taken_at < now() - interval '1 hour' AND EXISTS (
                            SELECT FROM channel_snapshots o
                            WHERE (o.log_id, o.partition, o.kafka_offset / $4) =
                                  (s.log_id, s.partition, s.kafka_offset / $4)
                                  AND o.kafka_offset >= $3 AND o.kafka_offset < s.kafka_offset))""",
                self._log,
                partition,
                beginning,
                THINNED,
            )
