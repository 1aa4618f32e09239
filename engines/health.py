"""Whether a process of ours is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiohttp


async def ready(urls: Iterable[str]) -> None:
    """Wait until each of these addresses answers 200."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
        for url in urls:
            await _answers(http, url)


async def _answers(http: aiohttp.ClientSession, url: str) -> None:
    while True:
        try:
            async with http.get(url) as reply:
                if reply.status == 200:
                    return
        except (aiohttp.ClientError, TimeoutError):
            pass  # not listening yet, or away for a restart
        await asyncio.sleep(0.1)
