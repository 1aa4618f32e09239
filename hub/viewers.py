"""Who is behind a user id, with the role of this moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TypeVar
from uuid import UUID

import asyncpg

from hub import patience
from hub.errors import unavailable
from models.access import Role, Viewer

#: Viewers remembered for the time Postgres is away.
REMEMBERED = 50_000

#: Longest a lookup waits for Postgres, in seconds.
PATIENCE = 4.0


LOOK_UP = """
SELECT u.role, EXISTS (SELECT FROM sign_ins s WHERE s.id = $2 AND s.user_id = u.id AND s.ended_at IS NULL) AS signed_in
FROM crm_users u WHERE u.id = $1 AND u.is_active
"""

K = TypeVar("K")
V = TypeVar("V")


class Viewers:
    """Looks viewers up in Postgres; while Postgres is away it answers from memory, for sockets and publishes to go on.

    Safe because whatever needs Postgres refuses then anyway; a role taken away shows once Postgres is back.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._seen: OrderedDict[int, tuple[float, Viewer | None]] = OrderedDict()
        #: When a sign-in was last seen not to have ended.
        self._signed_in: OrderedDict[UUID, float] = OrderedDict()

    async def get(self, user_id: int, *, sign_in: UUID | None = None, within: float = 0.0) -> Viewer | None:
        """The active user as a viewer, None if there is none or the sign-in they ask by has ended; at most `within`
        seconds old while Postgres is there.

        Raises asyncpg or OS errors if Postgres is away and this user or sign-in was not seen before.
        """
        at, known = self._seen.get(user_id, (float("-inf"), None))
        if sign_in is not None:
            at = min(at, self._signed_in.get(sign_in, float("-inf")))
        if time.monotonic() - at <= within:
            return known
        try:
            role, signed_in = await patience.within(PATIENCE, self._look_up(user_id, sign_in))
        except Exception as error:
            if at > float("-inf") and unavailable(error):
                return known
            raise
        self.learn(user_id, role)
        if sign_in is not None and not signed_in:
            self.forget(sign_in)
            return None
        if sign_in is not None:
            self._remember(self._signed_in, sign_in, time.monotonic())
        return self._seen[user_id][1]

    def learn(self, user_id: int, role: Role | None) -> None:
        """Remember what Postgres just said of a user; None is no active one."""
        viewer = None if role is None else Viewer(id=user_id, role=role)
        self._remember(self._seen, user_id, (time.monotonic(), viewer))

    def forget(self, sign_in: UUID) -> None:
        """A sign-in has ended."""
        self._signed_in.pop(sign_in, None)

    def _remember(self, known: OrderedDict[K, V], key: K, value: V) -> None:
        known[key] = value
        known.move_to_end(key)
        if len(known) > REMEMBERED:
            known.popitem(last=False)

    async def _look_up(self, user_id: int, sign_in: UUID | None) -> tuple[Role | None, bool]:
        row = await self._pool.fetchrow(LOOK_UP, user_id, sign_in)
        return (None, False) if row is None else (Role(row["role"]), row["signed_in"])
