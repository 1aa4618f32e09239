"""Who is behind a user id, with the role of this moment."""

from __future__ import annotations

import time
from collections import OrderedDict

import asyncpg

from hub import patience
from hub.errors import unavailable
from models.access import Role, Viewer

#: Viewers remembered for the time Postgres is away.
REMEMBERED = 50_000

#: Longest a lookup waits for Postgres, in seconds.
PATIENCE = 4.0


class Viewers:
    """Looks viewers up in Postgres; while Postgres is away it answers from memory, for sockets and publishes to go on.

    Safe because whatever needs Postgres refuses then anyway; a role taken away shows once Postgres is back.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._seen: OrderedDict[int, tuple[float, Viewer | None]] = OrderedDict()

    async def get(self, user_id: int, *, within: float = 0.0) -> Viewer | None:
        """The active user as a viewer, None if there is none; at most `within` seconds old while Postgres is there.

        Raises asyncpg or OS errors if Postgres is away and this user was not seen before.
        """
        at, known = self._seen.get(user_id, (float("-inf"), None))
        if time.monotonic() - at <= within:
            return known
        try:
            role = await patience.within(PATIENCE, self._look_up(user_id))
        except Exception as error:
            if user_id in self._seen and unavailable(error):
                return known
            raise
        self.learn(user_id, role)
        return self._seen[user_id][1]

    def learn(self, user_id: int, role: Role | None) -> None:
        """Remember what Postgres just said of a user; None is no active one."""
        self._seen[user_id] = (time.monotonic(), None if role is None else Viewer(id=user_id, role=role))
        self._seen.move_to_end(user_id)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    async def _look_up(self, user_id: int) -> Role | None:
        role = await self._pool.fetchval("SELECT role FROM crm_users WHERE id = $1 AND is_active", user_id)
        return None if role is None else Role(role)
