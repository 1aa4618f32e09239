"""A dump of Postgres put back under a live log: everything stops with a clear word, and `newlog` goes on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from engines import ports
from engines.child import spawn, stop, tail
from engines.postgres import APPLICATION, Postgres
from settings import Settings
from tests.system.stack import ROOT

#: Changes that the dump does not have.
LOST = 1000

CHANGE = "UPDATE crm_leads SET lead_score = (lead_score + 1) % 100"


class Process:
    """One command of `main.py` and its log."""

    def __init__(self, settings: Settings, folder: Path, *command: str) -> None:
        self._argv = [sys.executable, str(ROOT / "main.py"), *command]
        self._environ = {f"HUB_{field.name.upper()}": str(getattr(settings, field.name)) for field in fields(settings)}
        self.log = folder / f"{command[0]}.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await spawn(self._argv, log=self.log, environ=self._environ)

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        async with asyncio.timeout(60):
            return await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None:
            await stop(self._process)


async def command(settings: Settings, folder: Path, name: str) -> None:
    """Run a command that ends, and see that it succeeds."""
    process = Process(settings, folder, name)
    await process.start()
    assert await process.ended() == 0, tail(process.log, lines=20)


@asynccontextmanager
async def running(settings: Settings, folder: Path) -> AsyncIterator[tuple[Process, Process]]:
    """A hub and a worker, ready."""
    parts = Process(settings, folder, "hub"), Process(settings, folder, "worker")
    try:
        for part in parts:
            await part.start()
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            for port in (settings.port, settings.worker_port):
                while not await answers(http, f"http://127.0.0.1:{port}/health/ready"):
                    await asyncio.sleep(0.1)
        yield parts
    finally:
        for part in parts:
            await part.stop()


async def answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as reply:
            return reply.status == 200
    except aiohttp.ClientError:
        return False


async def audited(database: str, count: int) -> None:
    """Wait until every change so far is in the audit trail."""
    connection = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) FROM audit_trail WHERE object_type = 'lead'") != count:
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def tool(postgres: Postgres, folder: Path, program: str, *arguments: str) -> None:
    """One of Postgres' own programs."""
    process = await spawn([str(postgres.programs / program), *arguments], log=folder / f"{program}.log")
    assert await process.wait() == 0, tail(folder / f"{program}.log")


@pytest.fixture
def here(settings: Settings) -> Settings:
    """The test's settings with ports of their own."""
    return replace(settings, port=ports.free(), worker_port=ports.free())


async def test_a_dump_put_back_stops_everything_and_newlog_goes_on(
    here: Settings, postgres: Postgres, tmp_path: Path
) -> None:
    name, database, admin = here.database_url.rsplit("/", 1)[1], here.database_url, postgres.url("postgres", admin=True)
    await command(here, tmp_path, "migrate")
    await execute(
        database,
        """INSERT INTO crm_leads (first_name, last_name, email)
           SELECT 'Lead', i::text, i || '@example.com' FROM generate_series(1, 100) i""",
    )
    async with running(here, tmp_path) as (hub, worker):
        await audited(database, 100)
        dump = tmp_path / "dump"
        await tool(postgres, tmp_path, "pg_dump", "-Fc", "-f", str(dump), database)
        await execute(database, *[CHANGE] * (LOST // 100))
        await audited(database, 100 + LOST)
        restored = f"{name}_restored"
        await execute(admin, f"CREATE DATABASE {restored} OWNER {APPLICATION}")
        await tool(postgres, tmp_path, "pg_restore", "-d", postgres.url(restored), str(dump))
        await execute(
            admin,
            f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
            f"ALTER DATABASE {name} RENAME TO {name}_lost",
            f"ALTER DATABASE {restored} RENAME TO {name}",
        )
        await execute(database, CHANGE)
        for part in (hub, worker):
            assert await part.ended() == 3, tail(part.log, lines=20)
            assert "main.py newlog" in tail(part.log, lines=3)
    await command(here, tmp_path, "newlog")
    async with running(here, tmp_path):
        await execute(database, CHANGE)
        await audited(database, 300)
    await execute(admin, f"DROP DATABASE {name}_lost WITH (FORCE)")
