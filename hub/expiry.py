"""Removing what is past its time.

Sign-ins and password resets after their expiry; mails and files to be imported after a month; idempotency keys,
throttles, files that no record refers to and those that were never received whole after a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import structlog
from aiohttp import web

from hub import files
from hub.errors import unavailable
from hub.keys import POOL

log = structlog.get_logger()

#: Seconds between two rounds.
PAUSE = 600.0

STATEMENTS = (
    "DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'",
    "DELETE FROM sign_ins WHERE expires_at < now()",
    "DELETE FROM password_resets WHERE expires_at < now()",
    "DELETE FROM mails WHERE status IN ('sent', 'failed') AND created_at < now() - interval '30 days'",
    "DELETE FROM throttles WHERE last_at < now() - interval '1 day' AND locked_until < now()",
    # One in a round: it may have a million rows.
    """DELETE FROM imports WHERE id IN (SELECT id FROM imports WHERE created_at < now() - interval '30 days'
        OR detected = '{}' AND created_at < now() - interval '1 day' ORDER BY created_at LIMIT 1)""",
)


async def remove_expired(pool: asyncpg.Pool) -> None:
    """Remove what is past its time now."""
    for statement in STATEMENTS:
        await pool.execute(statement)


async def keep_removing(app: web.Application) -> AsyncIterator[None]:
    """Do so every few minutes while the application runs (a `cleanup_ctx`); Postgres away puts it off."""

    async def rounds() -> None:
        while True:
            try:
                await remove_expired(app[POOL])
                await files.sweep(app[POOL], app[files.BLOBS])
            except Exception as error:
                if not unavailable(error):
                    raise
                log.warning("expiry_put_off", error=repr(error))
            await asyncio.sleep(PAUSE)

    task = asyncio.create_task(rounds(), name="expiry")
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
