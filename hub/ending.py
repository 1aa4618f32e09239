"""The end of a connection, which nothing may cut short: aiohttp cancels a handler as soon as its peer has gone, also in
the middle of cleaning up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def complete(work: Coroutine[Any, Any, None]) -> None:
    """Do it to its end. If the caller is cancelled meanwhile, that is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
