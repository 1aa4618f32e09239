"""A whole Switchboard, started the way a user starts it: `main.py up`, with its children to kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import psutil

from engines import folder, ports
from engines.child import spawn, stop, tail
from models import database
from streams import progress

ROOT = Path(__file__).parents[2]

#: What a child's command line has in it.
MARKS = {"hub": "main.py hub", "worker": "main.py worker", "broker": "broker --listener-url", "postgres": "postgres -D"}


class StackError(AssertionError):
    """`up` did not do what it says; the message has the end of its log."""


class Stack:
    """`main.py up` over a data folder. Engines named in `environment` are used instead of embedded ones."""

    def __init__(self, data: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data, self.given = data, dict(environment or {})
        self.port, self.worker_port = ports.free(), ports.free()
        self.log = data.with_suffix(".log")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HUB_")},
            "HUB_USER_RATE": "0",
            "HUB_ADDRESS_RATE": "0",
            "HUB_DATA": str(data),
            "HUB_PORT": str(self.port),
            "HUB_WORKER_PORT": str(self.worker_port),
            **self.given,
        }
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Base URL of the hub."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> str:
        """URL of its Postgres."""
        return folder.addresses(self.data).database_url

    async def start(self) -> None:
        """Start it and return once hub and worker are ready."""
        argv = [sys.executable, str(ROOT / "main.py"), "up"]
        self._process = await spawn(argv, log=self.log, environ=self._environment)
        await self.ready()

    async def ready(self, *, within: float = 90.0) -> None:
        """Wait until hub and worker answer that they are ready."""
        assert self._process is not None
        async with aiohttp.ClientSession() as http:
            for port in (self.port, self.worker_port):
                try:
                    async with asyncio.timeout(within):
                        while not await answers(http, f"http://127.0.0.1:{port}/health/ready"):
                            if self._process.returncode is not None:
                                raise StackError(f"up ended: {tail(self.log, lines=30)}")
                            await asyncio.sleep(0.05)
                except TimeoutError:
                    raise StackError(f"not ready within {within:.0f} s: {tail(self.log, lines=30)}") from None

    async def settled(self) -> None:
        """Wait until every event so far is on the log and every agent has taken it."""
        async with database.pool(self.database, size=1) as pool, asyncio.timeout(120):
            while await progress.behind(pool):
                await asyncio.sleep(0.2)

    def find(self, name: str) -> psutil.Process:
        """The child of that name: hub, worker, broker or postgres."""
        assert self._process is not None
        for child in psutil.Process(self._process.pid).children(recursive=True):
            if MARKS[name] in " ".join(child.cmdline()):
                return child
        raise StackError(f"there is no {name}: {tail(self.log, lines=30)}")

    async def kill(self, name: str) -> None:
        """kill -9 the child of that name, and wait until `up` has another one that is ready."""
        victim = self.find(name)
        victim.send_signal(signal.SIGKILL)
        async with asyncio.timeout(60):
            while _alive(victim):
                await asyncio.sleep(0.02)
        await self.ready()

    async def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self._process is not None:
            await stop(self._process, sign=signal.SIGINT, grace=40.0)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went between the two questions
        return False


async def answers(http: aiohttp.ClientSession, url: str) -> bool:
    """Whether there is a server that answers 200."""
    try:
        async with http.get(url) as reply:
            return reply.status == 200
    except (aiohttp.ClientError, OSError):
        return False
