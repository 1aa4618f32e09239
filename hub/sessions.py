"""The sessions of this node, by user: what holds for all of them at once.

A right taken away must reach sockets that are open, so the roles of everybody who is connected are looked at again and
again, in one query. When the node stops, sessions leave in batches: clients that all left at once would all come back
at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice

import asyncpg
import structlog
from aiohttp import web

from actors.closes import SHUTDOWN
from actors.session import Session
from hub.centrifuge.codes import GONE, RECONNECT
from hub.errors import unavailable
from hub.keys import POOL
from models.access import Role, Viewer

log = structlog.get_logger()

#: Seconds between looks at the roles of those connected.
ROUND = 10.0

#: Sessions that are told to leave at a time, and seconds between.
BATCH, PAUSE = 200, 0.05


class Sessions:
    """Everybody who is connected here."""

    def __init__(self) -> None:
        self._of: dict[Viewer, dict[Session, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    @contextmanager
    def connected(self, viewer: Viewer, session: Session) -> Iterator[None]:
        """Know a session while its socket is open."""
        self._of.setdefault(viewer, {})[session] = None
        try:
            yield
        finally:
            sessions = self._of[viewer]
            del sessions[session]
            if not sessions:
                del self._of[viewer]

    @property
    def viewers(self) -> list[Viewer]:
        """Who is connected, with the role they came with."""
        return list(self._of)

    def check(self, roles: Mapping[int, Role]) -> None:
        """Close sessions of users who are not there any more, and have those come back whose role has changed."""
        for viewer in self.viewers:
            role = roles.get(viewer.id)
            if role is not viewer.role:
                log.info("rights_changed", user=viewer.id, was=viewer.role, now=role)
                for session in list(self._of[viewer]):
                    session.close(*(GONE if role is None else RECONNECT))

    def __iter__(self) -> Iterator[Session]:
        return iter([session for sessions in self._of.values() for session in sessions])


SESSIONS = web.AppKey("sessions", Sessions)


async def keep_checking(app: web.Application) -> AsyncIterator[None]:
    """The sessions of an application, and the look at their rights."""
    app[SESSIONS] = Sessions()
    checking = asyncio.create_task(_check(app[SESSIONS], app[POOL]))
    yield
    checking.cancel()
    with suppress(asyncio.CancelledError):
        await checking


async def dismiss(sessions: Iterable[Session]) -> None:
    """Tell these to come back elsewhere, in batches."""
    remaining = iter(sessions)
    while batch := list(islice(remaining, BATCH)):
        for session in batch:
            session.close(*SHUTDOWN)
        await asyncio.sleep(PAUSE)


async def leave(app: web.Application) -> None:
    """Let everybody go (an `on_shutdown` handler)."""
    sessions = app[SESSIONS]
    await dismiss(sessions)


async def _check(sessions: Sessions, pool: asyncpg.Pool) -> None:
    while True:
        await asyncio.sleep(ROUND)
        if not len(sessions):
            continue
        asked = [viewer.id for viewer in sessions.viewers]
        try:
            rows = await pool.fetch(
                "SELECT id, role FROM crm_users WHERE id = ANY ($1::bigint[]) AND is_active",
                asked,
                timeout=ROUND,
            )
        except Exception as error:
            log.warning("rights_not_checked", error=repr(error), exc_info=not unavailable(error))
            continue
        sessions.check({row["id"]: Role(row["role"]) for row in rows} | _not_asked(sessions, asked))


def _not_asked(sessions: Sessions, asked: list[int]) -> dict[int, Role]:
    """Those who came while Postgres was being asked, as they are."""
    return {viewer.id: viewer.role for viewer in sessions.viewers if viewer.id not in asked}
