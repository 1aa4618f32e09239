"""The floor: the highest id of `events` below which no open transaction can still write.

Numbers are given in the order of id to what is visible, and a transaction may commit long after it drew its ids. So the
search for events without a number cannot begin at the highest id seen; but it need not begin at 0 either, where it
would wade through index entries of rows numbered long ago that a long snapshot keeps from being removed.

Whoever writes to `events` holds a lock on it until its transaction ends. So: note the highest id drawn, then note who
holds that lock; when all of those have ended, and a search has since taken all it saw, nothing lower can appear.
"""

from __future__ import annotations

import asyncpg

_DRAWN = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_id_seq"
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'events'::regclass AND mode = 'RowExclusiveLock'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


class Floor:
    """Raises `value` as writers come to an end."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        #: Nothing at or below it is without a number, or will be.
        self.value = 0
        self._candidate = 0
        self._writers: frozenset[str] = frozenset()
        self._ended = True

    async def look(self) -> None:
        """See whether the writers of the last look have ended. For speed only: call it now and then."""
        if not self._ended:
            self._ended = self._writers.isdisjoint(await self._open_writers())
        elif self._candidate <= self.value:
            # In this order: a writer that drew an id up to the candidate is among the writers, or has ended.
            self._candidate = await self._connection.fetchval(_DRAWN)
            self._writers = await self._open_writers()
            self._ended = False

    def taken(self, *, until: int | None) -> None:
        """Say that a search begun after the last look took all it saw up to this id; None means all there was."""
        if self._ended:
            reached = self._candidate if until is None else min(self._candidate, until)
            self.value = max(self.value, reached)

    async def _open_writers(self) -> frozenset[str]:
        return frozenset(row["virtualtransaction"] for row in await self._connection.fetch(_WRITERS))
