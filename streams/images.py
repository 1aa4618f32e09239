"""Rows as they were when an event happened.

Names of people and records in derived rows come from `events`, not from today's tables: that way a rebuild, years
later, writes the same rows again, and a deleted user still has a name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from streams import exact
from streams.topics import CHANGES

Row = Mapping[str, Any]


class Images:
    """Images of some records over a stretch of events."""

    def __init__(self) -> None:
        self._ids: dict[str, list[int]] = defaultdict(list)
        self._rows: dict[str, list[Row | None]] = defaultdict(list)

    def add(self, subject: str, event_id: int, row: Row | None) -> None:
        """Note what a record was from an event on; events of one record come in order."""
        self._ids[subject].append(event_id)
        self._rows[subject].append(row)

    def at(self, subject: str, event_id: int) -> Row | None:
        """The record's row just after an event; of a deleted record the last one it had, None if it never was."""
        at = bisect_right(self._ids.get(subject, ()), event_id)
        return self._rows[subject][at - 1] if at else None


async def load(connection: asyncpg.Connection, wanted: Iterable[tuple[str, int]]) -> Images:
    """Images of these (subject, event id), each as of that event."""
    low: dict[str, int] = {}
    high: dict[str, int] = {}
    for subject, event_id in wanted:
        low[subject] = min(event_id, low.get(subject, event_id))
        high[subject] = max(event_id, high.get(subject, event_id))
    images = Images()
    if not low:
        return images
    rows = await connection.fetch(
        """SELECT s.subject, e.id, e.row
           FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS s(subject, low, high)
           CROSS JOIN LATERAL (
               (SELECT id, coalesce(nullif(data->'after', 'null'), data->'before') AS row FROM events
                WHERE subject = s.subject AND topic = $4 AND id <= s.low ORDER BY id DESC LIMIT 1)
               UNION ALL
               (SELECT id, coalesce(nullif(data->'after', 'null'), data->'before') FROM events
                WHERE subject = s.subject AND topic = $4 AND id > s.low AND id <= s.high)
           ) e
           ORDER BY e.id""",
        list(low),
        list(low.values()),
        [high[subject] for subject in low],
        CHANGES.name,
    )
    for row in rows:
        images.add(row["subject"], row["id"], exact.loads(row["row"]))
    return images
