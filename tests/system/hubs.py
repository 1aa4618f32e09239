"""Hub nodes as processes, `main.py hub`, over the engines of a test: started, killed, and told apart by their port."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from engines import ports
from engines.child import spawn, stop, tail
from settings import Settings
from tests.system.stack import ROOT, answers

#: What a backend of these hubs knows.
KEY = "the key of the application's backend, 32 bytes"


class HubFailed(AssertionError):
    """A hub ended or is not ready in time; the message has the end of its log."""


class Hub:
    """One node, which keeps its port from life to life."""

    def __init__(self, settings: Settings, folder: Path, name: str, configuration: Mapping[str, Any]) -> None:
        self.name = name
        self.port = ports.free()
        self.log = folder / f"{name}.log"
        file = folder / "hubs.json"
        file.write_text(json.dumps(configuration))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
            "HUB_DATABASE_URL": settings.database_url,
            "HUB_KAFKA": settings.kafka,
            "HUB_KAFKA_PREFIX": settings.kafka_prefix,
            "HUB_TAIL_FETCH_WAIT": str(settings.tail_fetch_wait),
            "HUB_SECRET": settings.secret,
            "HUB_USER_RATE": "0",
            "HUB_ADDRESS_RATE": "0",
            "HUB_DATA": str(folder),
            "HUB_CONFIG": str(file),
            "HUB_PORT": str(self.port),
        }
        self.process: Process | None = None
        #: Whether it has said that it is ready, in this life.
        self.is_ready = False
        self._changing = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the process, if there is none; it is not ready yet."""
        async with self._changing:
            if self.process is None:
                argv = [sys.executable, str(ROOT / "main.py"), "hub"]
                self.process = await spawn(argv, log=self.log, environ=self._environment)

    async def answers(self, http: aiohttp.ClientSession) -> bool:
        """Whether it is ready to be sent clients. Raises HubFailed if it has ended by itself."""
        process = self.process
        if process is None:
            return False
        if process.returncode is not None:
            raise HubFailed(f"{self.name} ended: {tail(self.log, lines=8)}")
        if not self.is_ready and await answers(http, f"{self.url}/health/ready") and self.process is process:
            self.is_ready = True
        return self.is_ready

    async def ready(self, http: aiohttp.ClientSession, *, within: float = 60.0) -> None:
        """Wait until it is ready."""
        try:
            async with asyncio.timeout(within):
                while not await self.answers(http):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise HubFailed(f"{self.name} is not ready: {tail(self.log, lines=8)}") from None

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        async with self._changing:
            if self.process is not None:
                self.is_ready = False
                victim, self.process = self.process, None
                victim.kill()
                await victim.wait()

    async def stop(self) -> None:
        """Let it go as an operator does."""
        if self.process is not None:
            await stop(self.process)
