"""The servers that benchmarks of sockets measure: one hub node over engines of its own, and a bare aiohttp process."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp
import orjson
import psutil
import uvloop
from aiohttp import web

import up
from engines import ports
from engines.broker import Broker
from engines.child import spawn, stop, tail
from engines.postgres import Postgres
from settings import Settings
from tests.system.stack import answers

KEY = "the key of the benchmark's tokens, 32 bytes"

CONFIGURATION = {
    "client": {"token": {"hmac_secret_key": KEY}},
    "channel": {
        "namespaces": [
            {
                "name": "bench",
                "history_size": 100,
                "history_ttl": "1h",
                "allow_recovery": True,
                "allow_subscribe_for_client": True,
                "allow_publish_for_client": True,
            }
        ]
    },
}


@dataclass(frozen=True)
class Server:
    """A server and its process."""

    name: str
    port: int
    process: psutil.Process

    def cpu(self) -> float:
        """Processor seconds it has used, its own and the kernel's for it."""
        user, system = self.process.cpu_times()[:2]
        return float(user + system)

    def memory(self) -> int:
        """Bytes that only it uses."""
        return int(self.process.memory_full_info().uss)


@asynccontextmanager
async def hub() -> AsyncIterator[tuple[Server, Settings]]:
    """A hub node alone, over an embedded Postgres and an embedded broker or HUB_KAFKA, and the settings it has."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "config.json").write_bytes(orjson.dumps(CONFIGURATION))
        postgres = Postgres(folder / "postgres", log=folder / "postgres.log")
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        kafka, wait = os.environ.get("HUB_KAFKA", ""), 500
        if not kafka:
            broker = Broker(folder / "broker.log")
            stack.push_async_callback(broker.stop)
            await broker.start()
            kafka, wait = broker.address, 5
        settings = Settings(
            port=ports.free(),
            database_url=postgres.url(),
            kafka=kafka,
            kafka_prefix=f"bench{secrets.token_hex(4)}.",
            tail_fetch_wait=wait,
            secret=secrets.token_hex(16),
            config=str(folder / "config.json"),
            data=folder,
        )
        await up.migrate(settings)
        await up.ensure_log(settings)
        argv = [sys.executable, "main.py", "hub"]
        yield await _started(stack, "hub", argv, settings.port, folder / "hub.log", _environment(settings)), settings


@asynccontextmanager
async def bare() -> AsyncIterator[Server]:
    """An aiohttp process that writes a ready frame to the sockets of a channel, in a loop, and does nothing else."""
    async with AsyncExitStack() as stack:
        folder, port = Path(stack.enter_context(tempfile.TemporaryDirectory())), ports.free()
        argv = [sys.executable, "-m", "bench.stand.node", str(port)]
        yield await _started(stack, "bare", argv, port, folder / "bare.log", dict(os.environ))


def _environment(settings: Settings) -> dict[str, str]:
    named = {f"HUB_{name.upper()}": str(value) for name, value in vars(settings).items() if value != ""}
    return {name: value for name, value in os.environ.items() if not name.startswith("HUB_")} | named


async def _started(
    stack: AsyncExitStack, name: str, argv: list[str], port: int, log: Path, environment: dict[str, str]
) -> Server:
    process = await spawn(argv, log=log, environ=environment)
    stack.push_async_callback(stop, process)
    async with aiohttp.ClientSession() as http, asyncio.timeout(60):
        while not await answers(http, f"http://127.0.0.1:{port}/health/ready"):
            assert process.returncode is None, tail(log, lines=30)
            await asyncio.sleep(0.1)
    return Server(name, port, psutil.Process(process.pid))


def serve(port: int) -> None:
    """Be the bare process: a socket says which channel it listens to; what a socket says is `channel NUL frame`."""
    listening: dict[str, list[asyncio.Transport]] = {}

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        mine = cast(asyncio.Transport, request.transport)
        there = listening.setdefault(request.query.get("channel", ""), [])
        there.append(mine)
        async for message in response:
            channel, _, frame = message.data.partition("\0")
            ready = frame.encode()
            ready = b"\x81\x7e" + len(ready).to_bytes(2, "big") + ready
            for transport in listening[channel]:
                transport.write(ready)
        there.remove(mine)
        return response

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/connection/websocket", socket)
    app.router.add_get("/health/ready", ready)
    uvloop.run(serve_for_ever(app, port))


async def serve_for_ever(app: web.Application, port: int) -> None:
    """Serve an application on loopback until the process is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
