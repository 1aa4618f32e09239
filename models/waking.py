"""Telling the relay that something was committed.

A NOTIFY inside the capture trigger would serialise every commit on one lock, so writers only mark that they wrote
and one connection notifies for all of them, at most every few milliseconds. The relay polls as well: a wake that is
lost costs 50 ms, never an event.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

import asyncpg
import structlog

from models.events import WAKE_CHANNEL

log = structlog.get_logger()

#: Seconds between two notifications.
PAUSE = 0.003
#: Seconds before Postgres is tried again after it failed.
RETRY = 0.5

#: How a lost connection shows, depending on when it is noticed.
LOST = (
    asyncpg.exceptions.PostgresError,
    asyncpg.exceptions.InterfaceError,
    asyncpg.exceptions.InternalClientError,
    OSError,
)


class Waker:
    """Notifies the relay soon after `wake`, on a connection of its own. An async context manager."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Say that a transaction with events was committed."""
        self._dirty.set()

    async def __aenter__(self) -> Waker:
        self._task = asyncio.create_task(self._run(), name="waker")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection:
                    await self._notify(connection)
            except LOST as error:
                log.warning("waker_lost_postgres", error=str(error))
                await asyncio.sleep(RETRY)

    async def _notify(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await connection.execute(f"NOTIFY {WAKE_CHANNEL}")
            await asyncio.sleep(PAUSE)
