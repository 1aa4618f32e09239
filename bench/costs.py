"""What a record request costs: `python -m bench.costs [--requests 1000]`.

Processor time of the hub and of Postgres and round trips between them, for each kind of request; on a machine that does
other things too these say more than the clock. The hub serves REST alone, without the log, over an embedded Postgres
with the demo data. The baseline of the same run is `/health/live`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psutil
import uvloop
from aiohttp import web

from bench.requests import LEAD, LEADS, Ask
from engines import ports
from engines.child import spawn, stop
from engines.postgres import Postgres
from hub import server, tokens
from hub.access_log import AccessLog
from main import configure_log
from models import database, demo, migrate
from models.waking import Waker
from settings import Settings

SECRET = "a secret for measuring, long enough for HS256"
#: Requests under way at once.
CONNECTIONS = 4


class Trips:
    """A TCP proxy before Postgres that counts how often a client speaks after the server did."""

    def __init__(self, port: int) -> None:
        self.count = 0
        self._port = port

    async def start(self) -> int:
        """Its own port."""
        listening = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        return int(listening.sockets[0].getsockname()[1])

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._port)
        answered = asyncio.Event()
        answered.set()

        async def back() -> None:
            while data := await there.read(65536):
                answered.set()
                writer.write(data)

        answering = asyncio.create_task(back())
        while data := await reader.read(65536):
            # What comes in two pieces, or as a notification of the waker, is no round trip of a request.
            if answered.is_set() and b"NOTIFY" not in data:
                self.count += 1
            answered.clear()
            onward.write(data)
        onward.close()
        await answering
        writer.close()


async def serve(url: str, port: int) -> None:
    """The REST side of a hub, as `main.py hub` has it."""
    settings = Settings(database_url=url, kafka="none needed", secret=SECRET, user_rate=0, address_rate=0)
    async with database.pool(url) as pool, Waker(pool) as waker, database.orm(url, waker=waker):
        runner = web.AppRunner(
            server.application(settings, pool), handler_cancellation=True, access_log_class=AccessLog
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


def asks(http: aiohttp.ClientSession, headers: dict[str, str]) -> dict[str, Ask]:
    """The requests, by name."""
    numbers = count()

    def lead() -> str:
        return f"/api/v1/leads/{next(numbers) % LEADS + 1}/"

    def sent(method: str, path: Callable[[], str], body: Callable[[], object], **more: str) -> Ask:
        return lambda: http.request(method, path(), json=body(), headers={**headers, **more})

    def key() -> dict[str, str]:
        return {**headers, "Idempotency-Key": f"cost-{next(numbers)}"}

    return {
        "GET /health/live": lambda: http.get("/health/live"),
        "GET one lead": lambda: http.get(lead(), headers=headers),
        "GET 20 leads": lambda: http.get("/api/v1/leads/", headers=headers),
        "PATCH a lead": sent("PATCH", lead, lambda: {"notes": f"change {next(numbers)}"}),
        "PATCH its assignee": sent("PATCH", lead, lambda: {"assigned_to": next(numbers) % 3 + 1}),
        "PUT a lead": sent("PUT", lead, lambda: {**LEAD, "notes": f"change {next(numbers)}"}),
        "POST a lead": sent("POST", lambda: "/api/v1/leads/", lambda: LEAD),
        "POST a lead with a key": lambda: http.post("/api/v1/leads/", json=LEAD, headers=key()),
    }


async def run(ask: Ask, requests: int) -> None:
    left = iter(range(requests))

    async def some() -> None:
        for _ in left:
            async with ask() as reply:
                assert reply.status < 300, await reply.text()
                await reply.read()

    await asyncio.gather(*(some() for _ in range(CONNECTIONS)))


def spent(*processes: psutil.Process) -> float:
    """Processor seconds of these processes and the children they have."""
    every = [one for process in processes for one in (process, *process.children(recursive=True))]
    return sum(sum(one.cpu_times()[:2]) for one in every)


async def measure(hub: psutil.Process, postgres: psutil.Process, trips: Trips | None, url: str, requests: int) -> None:
    headers = {"Authorization": f"Bearer {tokens.sign(SECRET, tokens.claim(tokens.Kind.ACCESS, 1, 60))}"}
    async with aiohttp.ClientSession(url) as http:
        for name, ask in asks(http, headers).items():
            await run(ask, 100)
            before = (spent(hub), spent(postgres), trips.count if trips else 0)
            await run(ask, requests)
            if trips:
                print(f"{name:<24} {(trips.count - before[2]) / requests:5.1f} round trips", flush=True)
                continue
            ours, theirs = (
                (now - then) / requests for now, then in ((spent(hub), before[0]), (spent(postgres), before[1]))
            )
            print(f"{name:<24} hub {ours * 1000:6.3f} ms   Postgres {theirs * 1000:6.3f} ms", flush=True)


async def hub_over(url: str, folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    """A hub in a process of its own, once it answers, and its URL."""
    port = ports.free()
    argv = [sys.executable, "-m", "bench.costs", "--serve", json.dumps([url, port])]
    process = await spawn(argv, log=folder / "hub.log", environ=dict(os.environ))
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession(base) as http, asyncio.timeout(30):
        while True:
            try:
                async with http.get("/health/live"):
                    return process, base
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def main(requests: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres = Postgres(folder / "postgres", log=folder / "postgres.log")
        server = await postgres.start()
        hubs = []
        try:
            await migrate.migrate(postgres.url())
            async with database.pool(postgres.url()) as pool:
                await demo.make(pool)
            direct = urlsplit(postgres.url())
            assert direct.port is not None
            trips = Trips(direct.port)
            counted = postgres.url().replace(f":{direct.port}/", f":{await trips.start()}/")
            for url, counter, rounds in ((postgres.url(), None, requests), (counted, trips, 200)):
                hub, base = await hub_over(url, folder)
                hubs.append(hub)
                await measure(psutil.Process(hub.pid), psutil.Process(server.pid), counter, base, rounds)
                await stop(hub)
        finally:
            for hub in hubs:
                await stop(hub)
            await postgres.stop()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=1000)
    options.add_argument("--serve", help=argparse.SUPPRESS)
    given = options.parse_args()
    configure_log("json")
    uvloop.run(serve(*json.loads(given.serve)) if given.serve else main(given.requests))
