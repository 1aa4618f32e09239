"""The custom fields as this node knows them.

They are needed for every record that is shown or written, so a node keeps them in memory. Postgres tells of every
change when it is committed, and a look from time to time finds what was not heard. A write by definitions that are no
longer the latest is refused by the statement itself, whatever a node has heard (`models/resources/custom/changes.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import structlog
from aiohttp import web

from hub.errors import unavailable
from models.custom_fields import DEFINITIONS_CHANNEL
from models.resources.custom import definitions
from models.resources.custom.definitions import Definitions

log = structlog.get_logger()

#: Seconds between looks at the version.
ROUND = 10.0

#: Seconds before Postgres is tried again, and for it to answer.
RETRY, PATIENCE = 0.5, 10.0


class Held:
    """The definitions a node has, which it follows."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._told = asyncio.Event()
        self.now = Definitions(0, ())

    async def refresh(self) -> None:
        """Have the latest."""
        self._learn(await definitions.load(self._pool))

    async def follow(self) -> None:
        """Have the latest soon after every change, until cancelled."""
        while True:
            try:
                async with self._pool.acquire(timeout=PATIENCE) as connection:
                    await self._follow(connection)
            except Exception as error:
                log.warning("custom_fields_not_followed", error=repr(error), exc_info=not unavailable(error))
            await asyncio.sleep(RETRY)

    async def _follow(self, connection: asyncpg.Connection) -> None:
        await connection.add_listener(DEFINITIONS_CHANNEL, self._hear)
        connection.add_termination_listener(self._hear)
        try:
            while not connection.is_closed():
                self._told.clear()
                async with asyncio.timeout(PATIENCE):
                    self._learn(await definitions.load(connection))
                with suppress(TimeoutError):
                    async with asyncio.timeout(ROUND):
                        await self._told.wait()
        finally:
            connection.remove_termination_listener(self._hear)
            if not connection.is_closed():
                await connection.remove_listener(DEFINITIONS_CHANNEL, self._hear)

    def _hear(self, *_said: object) -> None:
        self._told.set()

    def _learn(self, loaded: Definitions) -> None:
        # Two may be under way at once, and the older one come later.
        if loaded.version >= self.now.version:
            self.now = loaded


DEFINITIONS = web.AppKey("definitions", Held)


async def keep(app: web.Application) -> AsyncIterator[None]:
    """Follow the definitions while the application runs (a `cleanup_ctx`)."""
    try:
        await app[DEFINITIONS].refresh()
    except Exception as error:
        if not unavailable(error):
            raise
        log.warning("custom_fields_not_read", error=repr(error))
    following = asyncio.create_task(app[DEFINITIONS].follow(), name="custom fields")
    yield
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
