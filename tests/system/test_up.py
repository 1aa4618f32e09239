"""`main.py up` with a child or itself killed: everything comes back, nothing stays behind, nothing accepted is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest

from engines import folder, ports
from engines.child import spawn, stop, tail

ROOT = Path(__file__).parents[2]
#: What the command line of each child has in it.
CHILDREN = {
    "postgres": "/postgres -D",
    "broker": "broker --listener-url",
    "hub": "main.py hub",
    "worker": "main.py worker",
}


class Up:
    """A running `main.py up` and what it printed."""

    def __init__(self, place: Path) -> None:
        self.data = place / "data"
        self.log = place / "up.log"
        self.port, self.worker_port = ports.free(), ports.free()
        self._environment = os.environ | {
            "HUB_DATA": str(self.data),
            "HUB_PORT": str(self.port),
            "HUB_WORKER_PORT": str(self.worker_port),
        }
        self.process: Process | None = None

    async def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.log.unlink(missing_ok=True)
        command = [sys.executable, str(ROOT / "main.py"), "up"]
        self.process = await spawn(command, log=self.log, environ=self._environment)
        await self.says("Ctrl-C stops everything.")

    async def says(self, words: str, times: int = 1) -> None:
        """Wait until these words stand in its output so many times."""
        assert self.process is not None
        try:
            async with asyncio.timeout(60):
                while self.log.read_text().count(words) < times:
                    assert self.process.returncode is None, tail(self.log, lines=20)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"never said {words!r} {times} times: {tail(self.log, lines=20)}") from None

    def children(self) -> dict[str, psutil.Process]:
        """Its children by name."""
        assert self.process is not None
        lines = {child: " ".join(child.cmdline()) for child in psutil.Process(self.process.pid).children()}
        return {name: child for child, line in lines.items() for name, mark in CHILDREN.items() if mark in line}

    async def ready(self) -> None:
        """Wait until hub and worker are ready."""
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            for port in (self.port, self.worker_port):
                while True:
                    try:
                        async with http.get(f"http://127.0.0.1:{port}/health/ready") as reply:
                            if reply.status == 200:
                                break
                    except aiohttp.ClientError:
                        pass  # between two lives
                    await asyncio.sleep(0.05)

    async def lead(self, name: str) -> int:
        """Create a lead over REST; gives its id."""
        async with aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as http:
            username, password, _ = json.loads((self.data / "sign-ins.json").read_text())[0]
            async with http.post("/api/auth/login/", json={"username": username, "password": password}) as reply:
                assert reply.status == 200, await reply.text()
                token = (await reply.json())["access"]
            values = {"first_name": name, "last_name": "Lead", "email": "lead@example.com"}
            headers = {"Authorization": f"Bearer {token}"}
            async with http.post("/api/v1/leads/", json=values, headers=headers) as reply:
                assert reply.status == 201, await reply.text()
                return int((await reply.json())["id"])

    async def audited(self, lead: int) -> list[dict[str, Any]]:
        """Wait for a lead's audit records."""
        connection = await asyncpg.connect(folder.addresses(self.data).database_url)
        try:
            async with asyncio.timeout(60):
                while True:
                    rows = await connection.fetch(
                        "SELECT action FROM audit_trail WHERE object_type = 'lead' AND object_id = $1", str(lead)
                    )
                    if rows:
                        return [dict(row) for row in rows]
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()

    async def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        if self.process is not None:
            await stop(self.process, sign=signal.SIGINT, grace=40)


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Up]:
    up = Up(tmp_path)
    await up.start()
    yield up
    await up.stop()


async def test_every_child_that_is_killed_comes_back_and_all_stop_in_order(up: Up) -> None:
    for name in CHILDREN:
        started = f'{{"child": "{name}", "pid"'
        before = up.log.read_text().count(started)
        up.children()[name].kill()
        await up.says(started, times=before + 1)
        await up.ready()
        assert up.children().keys() == CHILDREN.keys()
        assert [row["action"] for row in await up.audited(await up.lead(f"after {name}"))] == ["create"]
    await up.says("The broker died and another was started, empty.")

    assert up.process is not None
    family = psutil.Process(up.process.pid).children(recursive=True)
    up.process.send_signal(signal.SIGTERM)
    assert await up.process.wait() == 0
    assert not any(child.is_running() for child in family)
    stopped = [json.loads(line)["child"] for line in up.log.read_text().splitlines() if '"child_stopped"' in line]
    assert stopped[-4:] == ["worker", "hub", "broker", "postgres"]
    assert not (up.data / "postgres" / "postmaster.pid").exists()


async def test_nothing_outlives_it_and_it_starts_again(up: Up) -> None:
    assert up.process is not None
    lead = await up.lead("kept")
    family = psutil.Process(up.process.pid).children(recursive=True)
    up.process.kill()
    await up.process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 15)
    assert not alive
    await up.start()
    assert [row["action"] for row in await up.audited(lead)] == ["create"]
