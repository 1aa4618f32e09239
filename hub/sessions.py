"""The sessions of this node, by user: what holds for all of them at once.

When the node stops, sessions leave in batches: clients that all left at once would all come back at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from itertools import islice
from uuid import UUID

import structlog
from aiohttp import web

from actors.closes import SHUTDOWN
from actors.session import Session
from hub.centrifuge.codes import GONE, RECONNECT
from models.access import Role, Viewer

log = structlog.get_logger()

#: Sessions that are told to leave at a time, and seconds between.
BATCH, PAUSE = 200, 0.05


class Sessions:
    """Everybody who is connected here."""

    def __init__(self) -> None:
        #: By user; all sessions of one that are open have the same role, but for the moment in which it changes.
        self._of: dict[int, dict[Session, Viewer]] = {}
        #: What each ends with, for those that came by a sign-in.
        self._sign_ins: dict[Session, UUID] = {}

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def enter(self, viewer: Viewer, session: Session, sign_in: UUID | None = None) -> None:
        """A socket has opened, or has come to another sign-in; `leave` must follow."""
        self._of.setdefault(viewer.id, {})[session] = viewer
        if sign_in is not None:
            self._sign_ins[session] = sign_in
        else:
            self._sign_ins.pop(session, None)

    def leave(self, viewer: Viewer, session: Session) -> None:
        """It has ended."""
        sessions = self._of[viewer.id]
        del sessions[session]
        self._sign_ins.pop(session, None)
        if not sessions:
            del self._of[viewer.id]

    @property
    def users(self) -> list[int]:
        """Who is connected."""
        return list(self._of)

    def check(self, user: int, role: Role | None) -> None:
        """Close the sessions of a user who is gone, and have those come back who came with another role."""
        for session, viewer in list(self._of.get(user, {}).items()):
            if role is not viewer.role:
                log.info("rights_changed", user=user, was=viewer.role, now=role)
                session.close(*(GONE if role is None else RECONNECT))

    def sign_ins(self, user: int) -> set[UUID]:
        """The sign-ins that a user's sessions came by."""
        return {self._sign_ins[session] for session in self._of.get(user, ()) if session in self._sign_ins}

    def sign_out(self, user: int, ended: Collection[UUID]) -> None:
        """Close the sessions of sign-ins that have ended. They may come back with a token that is good."""
        for session in list(self._of.get(user, ())):
            if self._sign_ins.get(session) in ended:
                log.info("sign_in_ended", user=user)
                session.close(*RECONNECT)

    def __iter__(self) -> Iterator[Session]:
        return iter([session for sessions in self._of.values() for session in sessions])


SESSIONS = web.AppKey("sessions", Sessions)


async def keep(app: web.Application) -> AsyncIterator[None]:
    """The sessions of an application."""
    app[SESSIONS] = Sessions()
    yield


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
