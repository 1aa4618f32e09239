"""Rights that change while sockets are open.

Postgres tells of every user whose role changed, who was deactivated or removed or one of whose sign-ins was ended, as
soon as that is committed; every node looks that user up and closes what they may have no more. What was not heard,
because a connection was lost, is found when there is one again, and by a look at everybody from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import asyncpg
import structlog
from aiohttp import web

from hub.errors import unavailable
from hub.keys import POOL, VIEWERS
from hub.sessions import SESSIONS, Sessions
from hub.viewers import Viewers
from models.access import Role
from models.rights import RIGHTS_CHANNEL

log = structlog.get_logger()

#: Seconds between looks at everybody connected.
ROUND = 10.0

#: Seconds after which a user of whom was heard is looked up again: somebody who was connecting just then may have been
#: looked up before the change.
AGAIN = 1.0

#: Seconds before Postgres is tried again, and for it to answer.
RETRY, PATIENCE = 0.5, 10.0


class Rights:
    """What a node does when rights change."""

    def __init__(self, sessions: Sessions, viewers: Viewers) -> None:
        self._sessions = sessions
        self._viewers = viewers
        self._heard: set[int] = set()
        self._changed = asyncio.Event()

    async def follow(self, pool: asyncpg.Pool) -> None:
        """Look when something was heard, and at everybody every ROUND seconds, until cancelled."""
        while True:
            try:
                async with pool.acquire(timeout=PATIENCE) as connection:
                    await self._follow(connection)
            except Exception as error:
                log.warning("rights_not_followed", error=repr(error), exc_info=not unavailable(error))
            await asyncio.sleep(RETRY)

    async def _follow(self, connection: asyncpg.Connection) -> None:
        await connection.add_listener(RIGHTS_CHANNEL, self._hear)
        connection.add_termination_listener(self._lost)
        try:
            await self._look(connection, self._sessions.users)
            while not connection.is_closed():
                try:
                    async with asyncio.timeout(ROUND):
                        await self._changed.wait()
                except TimeoutError:
                    self._heard.update(self._sessions.users)
                self._changed.clear()
                asked, self._heard = self._heard, set()
                await self._look(connection, asked)
        finally:
            connection.remove_termination_listener(self._lost)
            if not connection.is_closed():
                await connection.remove_listener(RIGHTS_CHANNEL, self._hear)

    def _hear(self, connection: object, process: int, channel: str, payload: object) -> None:
        user = int(str(payload))
        self._note(user)
        asyncio.get_running_loop().call_later(AGAIN, self._note, user)

    def _note(self, user: int) -> None:
        self._heard.add(user)
        self._changed.set()

    def _lost(self, connection: object) -> None:
        self._changed.set()

    async def _look(self, connection: asyncpg.Connection, users: Iterable[int]) -> None:
        """Look these up, and close what they may have no more."""
        asked = list(users)
        if not asked:
            return
        rows = await connection.fetch(
            "SELECT id, role FROM crm_users WHERE id = ANY ($1::bigint[]) AND is_active", asked, timeout=PATIENCE
        )
        roles = {row["id"]: Role(row["role"]) for row in rows}
        for user in asked:
            self._viewers.learn(user, roles.get(user))
            self._sessions.check(user, roles.get(user))
        await self._look_at_sign_ins(connection, asked)

    async def _look_at_sign_ins(self, connection: asyncpg.Connection, users: Iterable[int]) -> None:
        """Close what came by a sign-in of theirs that has ended."""
        held = {sign_in: user for user in users for sign_in in self._sessions.sign_ins(user)}
        if not held:
            return
        ended = await connection.fetch(
            "SELECT id FROM sign_ins WHERE id = ANY ($1::uuid[]) AND ended_at IS NOT NULL",
            list(held),
            timeout=PATIENCE,
        )
        for row in ended:
            self._viewers.forget(row["id"])
            self._sessions.sign_out(held[row["id"]], {row["id"]})


async def keep_rights(app: web.Application) -> AsyncIterator[None]:
    """The rights of everybody connected, from the start of an application to its end; needs its sessions."""
    following = asyncio.create_task(Rights(app[SESSIONS], app[VIEWERS]).follow(app[POOL]))
    yield
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
