"""A worker: some agents, a relay that leads when no other does, a watch on both, the mails that are due, and pages for
whoever watches it.

Start as many as there are partitions; they share the work of each agent. A worker ends by itself, with an error, when
an agent stalls, when Faust gives up, or when log and Postgres do not agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog
from aiohttp import web
from asyncpg.exceptions import InterfaceError, InternalClientError, PostgresError
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from models import database
from models.waking import Waker
from settings import Settings
from streams import agents as registry
from streams import log as logs
from streams import mail, progress
from streams.agent import Runtime
from streams.app import Member
from streams.catchup import Place
from streams.mail import Smtp
from streams.progress import Lag
from streams.relay import Relay
from streams.silence import Silence
from streams.watchdog import Sight, Watchdog

log = structlog.get_logger()

LAG = Gauge("agent_lag", "Numbered events an agent has not taken", ["agent", "topic", "partition"])

#: What an agent loses by a crash of Postgres it derives again, and what the relay has numbered is on disk with
#: everything before it, so agents need not wait for the disk. Their few statements look rows up by key: planning them
#: anew for their arguments took three times as long as running them (`advance` 0.42 ms, planned once 0.14).
SESSION = {"synchronous_commit": "off", "plan_cache_mode": "force_generic_plan"}

MEMBERS = web.AppKey("MEMBERS", Sequence[Member])

#: Seconds between two looks at how far the agents are.
LOOK_EVERY = 1.0
#: Seconds a look may take before Postgres counts as away.
LOOK_WITHIN = 10.0


async def run(settings: Settings, names: Iterable[str] | None = None) -> None:
    """Run these agents, all of them when none is named, until cancelled.

    Raises UnknownAgent, LogError, LogMismatch, WorkerStalled, MemberStopped, and KafkaError when there is no broker.
    """
    agents = registry.chosen(names or ())
    opened = database.pool(settings.database_url, size=len(agents) + 5, session=SESSION)
    # The ORM writes the SQL of records that jobs look at; connections are those of the pool.
    async with database.orm(settings.database_url, size=1), opened as pool, Waker(pool) as waker:
        await logs.ensure(settings, pool)
        relay = Relay(settings)

        def wake() -> None:
            if not relay.wake():
                waker.wake()

        members = [Member(settings, Runtime(agent, pool, wake)) for agent in agents]
        for member in members:
            await member.runtime.register()
        async with pages(settings, members) as port:
            log.info("worker_started", agents=[agent.name for agent in agents], port=port)
            await _all(
                [
                    relay.run(),
                    watch(pool, members),
                    mail.send(pool, Smtp.of(settings)),
                    *(member.run() for member in members),
                ]
            )


async def _all(parts: Sequence[Awaitable[None]]) -> None:
    """Run the parts until one fails, stop the others, and raise the first one's error."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def watch(pool: asyncpg.Pool, members: Sequence[Member]) -> None:
    """Look at the agents' progress again and again: for the metrics, for what the log does not bring, for a stall.

    Raises WorkerStalled.
    """
    clock = asyncio.get_running_loop().time
    names = [member.agent.name for member in members]
    dogs = {name: Watchdog(name, clock()) for name in names}
    silences = {name: Silence() for name in names}
    while True:
        try:
            async with asyncio.timeout(LOOK_WITHIN), pool.acquire() as connection:
                lags = await progress.lags(connection, names)
        except (PostgresError, InterfaceError, InternalClientError, OSError, TimeoutError) as error:
            log.warning("worker_lost_postgres", error=str(error))
            for dog in dogs.values():
                dog.unknown(clock())
        else:
            for member in members:
                name = member.agent.name
                own = {place: lag for (agent, place), lag in lags.items() if agent == name}
                _measure(member, own)
                member.catch_up(silences[name].missed(member.assigned, own))
                dogs[name].see(_sight(member, own), clock())
        await asyncio.sleep(LOOK_EVERY)


def _sight(member: Member, lags: dict[Place, Lag]) -> Sight:
    return Sight(assigned=member.assigned, joining=member.joining, failing=member.runtime.failures > 0, lags=lags)


def _measure(member: Member, lags: dict[Place, Lag]) -> None:
    for place, lag in lags.items():
        labels = (member.agent.name, place.topic, str(place.partition))
        if place in member.assigned:
            LAG.labels(*labels).set(max(0, lag.numbered - lag.n))
        else:
            LAG.labels(*labels).set(0)


@asynccontextmanager
async def pages(settings: Settings, members: Sequence[Member]) -> AsyncIterator[int]:
    """Serve /health/live, /health/ready and /metrics; yields the port."""
    app = web.Application()
    app[MEMBERS] = members
    app.add_routes(
        [
            web.get("/health/live", _live),
            web.get("/health/ready", _ready),
            web.get("/metrics", _metrics),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.worker_port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _live(request: web.Request) -> web.Response:
    return web.json_response({"status": "live"})


async def _ready(request: web.Request) -> web.Response:
    """Ready when the group of every agent has given this worker its partitions, be they none."""
    members = request.app[MEMBERS]
    joining = [member.agent.name for member in members if member.joining]
    body = {
        "status": "joining" if joining else "ready",
        "agents": {
            member.agent.name: {
                "assigned": sorted(f"{topic}/{partition}" for topic, partition in member.assigned),
                "joining": member.joining,
                "failures": member.runtime.failures,
            }
            for member in members
        },
    }
    return web.json_response(body, status=503 if joining else 200)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
