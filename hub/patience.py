"""Not waiting for ever for a Postgres whose host has vanished or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, or TimeoutError. Work that is late is cancelled but not waited for.

    asyncio.timeout would wait until the cancelled work has cleaned up, which for a transaction means until Postgres
    answers the rollback.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.add_done_callback(_forget)
        task.cancel()
        raise TimeoutError
    return task.result()


def _forget(task: asyncio.Future[Any]) -> None:
    """Look at the outcome nobody waits for, so that asyncio does not report it as overlooked."""
    if not task.cancelled():
        task.exception()
