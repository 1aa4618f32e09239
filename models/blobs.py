"""Bytes kept as files by the hash of what is in them, so that the same content is kept once.

The nodes of a cluster must see one folder. A blob is put there before the row that names it is committed, and removed
after the last such row is gone; both hold a lock on the hash meanwhile (`LOCK`).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

#: Bytes that are written at once.
CHUNK = 256 * 1024

#: Seconds after which what was not uploaded to its end is removed.
STALE = 24 * 3600.0

#: Held for the rest of the transaction: whoever puts or removes a blob is alone with it.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"


class TooLong(Exception):
    """More bytes than may be."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Bytes that have come, in a file of their own."""

    path: Path
    sha256: str
    size: int


class Blobs:
    """A folder of blobs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"

    def path(self, sha256: str) -> Path:
        """Where a blob is, in folders by the first letters of its hash."""
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    @asynccontextmanager
    async def taking(self, chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[Taken]:
        """Bytes as they come, at most so many, in a file that is gone afterwards unless it was kept. Raises TooLong."""
        path = self._incoming / str(uuid4())
        digest, size, waiting = hashlib.sha256(), 0, bytearray()
        await asyncio.to_thread(self._incoming.mkdir, parents=True, exist_ok=True)
        file = await asyncio.to_thread(path.open, "wb")
        try:
            try:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise TooLong
                    digest.update(chunk)
                    waiting += chunk
                    if len(waiting) >= CHUNK:
                        await asyncio.to_thread(file.write, bytes(waiting))
                        waiting.clear()
                await asyncio.to_thread(file.write, bytes(waiting))
            finally:
                await asyncio.to_thread(file.close)
            yield Taken(path=path, sha256=digest.hexdigest(), size=size)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def keep(self, taken: Taken) -> None:
        """Make a blob of it, under the lock."""
        place = self.path(taken.sha256)

        def move() -> None:
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                taken.path.rename(place)

        await asyncio.to_thread(move)

    async def there(self, sha256: str) -> bool:
        """Whether this node sees the blob."""
        return await asyncio.to_thread(self.path(sha256).is_file)

    async def remove(self, sha256: str) -> None:
        """Remove a blob, under the lock."""
        await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)

    async def remove_stale(self) -> None:
        """Remove what began to come a day ago and never ended."""

        def remove() -> None:
            for path in self._incoming.glob("*"):
                if path.stat().st_mtime < time.time() - STALE:
                    path.unlink(missing_ok=True)

        await asyncio.to_thread(remove)
