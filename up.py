"""Bringing a system up: its engines, schema, log and demo data, and the processes that work on them.

Everything `main.py up` does, and what `migrate`, `newlog` and `demo` do alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import fields, replace
from pathlib import Path

import structlog

import settings as settings_module
from engines import embedded, folder, health, mailbox, ports
from engines.supervisor import Program, Supervisor
from hub import configuration
from models import database
from models import migrate as migrations
from settings import Settings
from streams import log as logs
from streams import progress

log = structlog.get_logger()

MAIN = Path(__file__).resolve().parent / "main.py"
#: Longest that `up` waits, in seconds, for the agents to have taken what there is before it says that it is ready.
CATCHING_UP = 20.0
#: The processes over the engines, in the order they start.
PARTS = ("hub", "worker")


async def run(settings: Settings) -> None:
    """Start everything on this machine and keep it running until cancelled.

    Raises EngineError when an engine, a port or the data folder cannot be had, and ChildFailed when a process stopped
    for a reason that a restart does not mend; SettingsError for a configuration file that cannot be used.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(folder.locked(settings.data))
        ports.check(settings.host, settings.port, "set HUB_PORT to another one")
        ports.check(settings.host, settings.worker_port, "set HUB_WORKER_PORT to another one")
        settings = replace(
            settings,
            secret=settings_module.secret(settings),
            port=settings.port or ports.free(),
            worker_port=settings.worker_port or ports.free(),
        )
        configuration.load(settings)  # the hub does, too; but here a mistake is the last thing said
        own_database = not settings.database_url
        supervisor = await stack.enter_async_context(Supervisor())
        settings = await _with_engines(supervisor, settings)
        folder.tell(settings.data, folder.Addresses(database_url=settings.database_url, kafka=settings.kafka))
        if own_database:
            await demo(settings)
        mail = await stack.enter_async_context(mailbox.mailbox(settings.data / "mail"))
        settings = replace(settings, smtp=settings.smtp or mail)
        for part in PARTS:
            await supervisor.keep(part, Program([sys.executable, str(MAIN), part], _environ(settings)))
        async with asyncio.TaskGroup() as group:
            group.create_task(supervisor.failed())
            group.create_task(_announce(settings, mail))


async def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema."""
    await migrations.migrate(settings.database_url)


async def ensure_log(settings: Settings) -> None:
    """Make the topics, or check them. Raises LogError."""
    async with database.pool(settings.database_url, size=2) as pool:
        await logs.ensure(settings, pool)


async def new_log(settings: Settings) -> None:
    """Make the topics anew, with a new incarnation of the log."""
    async with database.pool(settings.database_url, size=2) as pool:
        await logs.new_log(settings, pool)


async def demo(settings: Settings) -> None:
    """Fill an empty database with demo users and records, and remember how to sign in; another is left alone."""
    from models import demo as module

    async with database.pool(settings.database_url, size=2) as pool:
        sign_ins = await module.make(pool)
    if sign_ins:
        settings.data.mkdir(parents=True, exist_ok=True)
        file = settings.data / "sign-ins.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(sign_ins))
        log.info("demo_made", users=len(sign_ins))


def embedded_waits(settings: Settings) -> Settings:
    """Settings with fetch waits, in milliseconds, for the embedded broker, which answers a long poll late."""
    return replace(settings, agent_fetch_wait=20, tail_fetch_wait=5)


async def _with_engines(supervisor: Supervisor, settings: Settings) -> Settings:
    """Settings that name both engines, ours started where none was named, with schema and log in place."""
    if not settings.database_url:
        settings = replace(settings, database_url=await embedded.keep_postgres(supervisor, settings.data))
    await migrate(settings)
    if settings.kafka:
        await ensure_log(settings)
        return settings

    async def renew(address: str) -> None:
        await new_log(replace(settings, kafka=address))

    address = await embedded.keep_broker(supervisor, settings.data, new_log=renew, readers=PARTS)
    return embedded_waits(replace(settings, kafka=address))


async def _announce(settings: Settings, mail: str) -> None:
    """Wait for hub and worker, and say where everything is."""
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host
    await health.ready(f"http://{host}:{port}/health/ready" for port in (settings.port, settings.worker_port))
    await _taken(settings)
    print(f"Switchboard is ready at http://{host}:{settings.port}/")
    for username, password, role in _sign_ins(settings):
        print(f"  sign in as {username:<20} password {password:<20} {role}")
    print(f"Mail sent to smtp://{mail} is kept in {settings.data / 'mail'}. Ctrl-C stops everything.", flush=True)


async def _taken(settings: Settings) -> None:
    """Wait until the agents have taken what there is, such as the demo's two years, but not for ever."""
    async with database.pool(settings.database_url, size=1) as pool:
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCHING_UP):
                while await progress.behind(pool):
                    await asyncio.sleep(0.1)


def _sign_ins(settings: Settings) -> list[list[str]]:
    file = settings.data / "sign-ins.json"
    rows: list[list[str]] = json.loads(file.read_text()) if file.exists() else []
    return rows


def _environ(settings: Settings) -> dict[str, str]:
    """Our environment, with these settings in it."""
    return os.environ | {f"HUB_{field.name.upper()}": str(getattr(settings, field.name)) for field in fields(settings)}
