"""A local mailbox: an SMTP server that keeps every mail in a Maildir one can look into, and delivers none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP


@asynccontextmanager
async def mailbox(folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve until the block ends; gives host:port. Mails stand in `folder`/new, one file each."""
    handler = Mailbox(folder)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, enable_SMTPUTF8=True, loop=loop), host, port)
    async with server:
        yield f"{host}:{server.sockets[0].getsockname()[1]}"
