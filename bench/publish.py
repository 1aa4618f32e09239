"""From a REST publish to its frames: `python -m bench.publish [--rate 500] [--sockets 1000] [--share 20]`.

Publishes at a steady rate, each at its own moment whatever the others take, against a whole `main.py up` (or
HUB_KAFKA). Every publish goes to one user's personal channel, on which `share` sockets listen. A frame counts from
the moment before the request is made to the moment its bytes are read. The baselines of the same run are a bare aiohttp
application that writes a ready frame to as many sockets from within the request (no log, no fold, nobody to resume) and
the log alone: the same records at the same rate from a producer to a consumer, with the hub idle beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import re
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import ClassVar, cast

import aiohttp
import asyncpg
import psutil
import uvloop
from aiohttp import web
from aiokafka import TopicPartition

import settings as settings_module
from bench.stand.node import serve_for_ever
from engines import folder, ports
from engines.child import spawn, stop
from hub import frames, tokens
from hub.transport import Transport
from settings import Settings
from streams import kafka, layout
from streams.topics import PARTITIONS, PUBLICATIONS
from tests.system.stack import Stack

#: Requests under way at once.
CONNECTIONS = 64

#: What a published frame says: when it was sent.
SENT = re.compile(rb'"at":([0-9.]+)')


class Listener(asyncio.Protocol):
    """A WebSocket client that does no more than note when a frame was read: the machine is the server's to use."""

    delays: ClassVar[list[float]] = []

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._rest = b""
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self._rest += data
        end = 0
        for match in SENT.finditer(self._rest):
            if match.end() < len(self._rest):
                self.delays.append(now - float(match[1]))
                end = match.end()
        self._rest = self._rest[end:]
        if b"connection_established" in self._rest and not self.greeted.done():
            self.greeted.set_result(None)


async def listen(port: int, path: str, token: str) -> None:
    """Open a socket and wait for its greeting."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(lambda: Listener(request.encode()), "127.0.0.1", port)
    async with asyncio.timeout(30):
        await protocol.greeted


async def publish(url: str, token: str, channels: list[str], rate: float, count: int, expected: int) -> list[float]:
    """So many publishes at that rate a second; how long each answer took. Returns once every frame was read."""
    answers: list[float] = []
    Listener.delays = []
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(url, connector=connector, headers={"Authorization": f"Bearer {token}"}) as http:
        begin = perf_counter()

        async def one(number: int) -> None:
            await asyncio.sleep(max(0.0, begin + number / rate - perf_counter()))
            started = perf_counter()
            body = {"channel": channels[number % len(channels)], "data": {"at": started, "text": "x" * 200}}
            async with http.post("/api/v1/publish/", json=body) as reply:
                assert reply.status == 200, await reply.text()
                await reply.read()
            answers.append(perf_counter() - started)

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(number))
        async with asyncio.timeout(30):
            while len(Listener.delays) < expected:
                await asyncio.sleep(0.01)
    assert len(Listener.delays) == expected
    return answers


def told(name: str, seconds: list[float]) -> str:
    """One line of percentiles."""
    cuts = statistics.quantiles(seconds, n=100)
    return f"{name:<24} p50 {cuts[49] * 1000:6.2f} ms   p95 {cuts[94] * 1000:6.2f} ms   p99 {cuts[98] * 1000:6.2f} ms"


async def measure(
    port: int, token: str, users: list[tuple[int, str]], given: argparse.Namespace, parts: Mapping[str, psutil.Process]
) -> float:
    """Print what publishing to these channels took, and took of the CPU; the median delay of a frame, in seconds.

    `parts` are the processes that take part, beside this one.
    """
    for _ in range(given.share):  # in batches: a listening socket keeps 128 waiting
        await asyncio.gather(*(listen(port, "/ws/notifications/", each) for _, each in users))
    url, channels = f"http://127.0.0.1:{port}", [f"#{user}" for user, _ in users]
    warm = int(given.rate)
    await publish(url, token, channels, given.rate, warm, warm * given.share)
    count = int(given.rate * given.seconds)
    parts = {**parts, "this client": psutil.Process()}
    before = {name: sum(process.cpu_times()[:2]) for name, process in parts.items()}
    answers = await publish(url, token, channels, given.rate, count, count * given.share)
    print(told("publish to frame", Listener.delays))
    print(told("publish to answer", answers))
    used = {name: sum(process.cpu_times()[:2]) - before[name] for name, process in parts.items()}
    print("CPU of one publish       " + ", ".join(f"{name} {1e6 * used[name] / count:.0f} µs" for name in parts))
    return statistics.median(Listener.delays)


def log_of(stack: Stack, environment: Mapping[str, str]) -> Settings:
    """Settings by which the stack's broker is reached, as its hub reaches it."""
    given = settings_module.read(environment)
    if given.kafka:
        return given
    return replace(given, kafka=folder.addresses(stack.data).kafka, tail_fetch_wait=5)


async def through_the_log(settings: Settings, given: argparse.Namespace) -> None:
    """Print what the broker alone takes from a record's send to its consumer, fetched as the hub's tail does."""
    delays: list[float] = []
    count = int(given.rate * given.seconds)
    other = replace(settings, kafka_prefix=settings.kafka_prefix + "alone.")
    async with kafka.admin(other) as admin, kafka.producer(other) as producer:
        await layout.make(admin, other, [PUBLICATIONS.name])
        topic = other.kafka_prefix + PUBLICATIONS.name
        async with kafka.consumer(other, fetch_wait=other.tail_fetch_wait) as consumer:
            places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)

            async def read() -> None:
                while len(delays) < count:
                    for records in (await consumer.getmany(timeout_ms=1000)).values():
                        delays.extend(perf_counter() - float((record.value or b"")[:20]) for record in records)

            async def send(number: int, begin: float) -> None:
                await asyncio.sleep(max(0.0, begin + number / given.rate - perf_counter()))
                value = f"{perf_counter():020.6f}".encode().ljust(450)
                await (await producer.send(topic, value, partition=number % PARTITIONS))

            async with asyncio.TaskGroup() as group:
                group.create_task(read())
                begin = perf_counter()
                for number in range(count):
                    group.create_task(send(number, begin))
    print(told("through the log alone", delays))


async def users(stack: Stack, secret: str, count: int) -> tuple[str, list[tuple[int, str]]]:
    """A publisher's token, and so many users with theirs."""
    connection = await asyncpg.connect(stack.database)
    try:
        rows = await connection.fetch(
            """INSERT INTO crm_users (username, email, password, role)
               SELECT 'bench' || i, 'bench' || i || '@example.com', '!', CASE WHEN i = 0 THEN 'admin' ELSE 'viewer' END
               FROM generate_series(0, $1) AS i RETURNING id""",
            count,
        )
    finally:
        await connection.close()
    signed = [(row["id"], tokens.sign(secret, tokens.claim(tokens.Kind.ACCESS, row["id"], 60))) for row in rows]
    return signed[0][1], signed[1:]


def bare(port: int) -> None:
    """Serve the baseline: the user is the token, a publish is written to the user's sockets before it is answered."""
    listening: dict[str, list[Transport]] = {}

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(compress=False)
        await response.prepare(request)
        user = request.headers["Authorization"].partition(" ")[2]
        transport = Transport(response, request)
        listening.setdefault(f"#{user}", []).append(transport)
        transport.write(frames.message({"type": "connection_established"}))
        async for _ in response:
            pass
        return response

    async def post(request: web.Request) -> web.Response:
        body = await request.json()
        frame = frames.message({"type": "publication", **body, "offset": 1})
        for transport in listening[body["channel"]]:
            transport.write(frame)
        return web.json_response({"offset": 1})

    app = web.Application()
    app.router.add_get("/ws/notifications/", socket)
    app.router.add_post("/api/v1/publish/", post)
    uvloop.run(serve_for_ever(app, port))


@asynccontextmanager
async def baseline(log: Path) -> AsyncIterator[tuple[int, psutil.Process]]:
    """The bare application in a process of its own; its port."""
    port = ports.free()
    process = await spawn([sys.executable, "-m", "bench.publish", "--bare", str(port)], log=log)
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        await stop(process)


async def main(given: argparse.Namespace) -> None:
    """Measure the baseline, then the hub."""
    secret = "a secret for the benchmark of publishes"
    environment = {"HUB_SECRET": secret}
    if broker := os.environ.get("HUB_KAFKA"):
        environment |= {"HUB_KAFKA": broker, "HUB_KAFKA_PREFIX": f"bench{os.getpid()}."}
    groups = given.sockets // given.share
    print(f"{given.rate:.0f} publishes/s, each to {given.share} of {given.sockets} sockets, for {given.seconds:.0f} s")
    with tempfile.TemporaryDirectory() as place:
        async with baseline(Path(place) / "bare.log") as (port, process):
            print("bare aiohttp, no log")
            least = await measure(port, "0", [(n, str(n)) for n in range(1, groups + 1)], given, {"bare": process})
        stack = Stack(Path(place) / "data", environment)
        try:
            await stack.start()
            token, signed = await users(stack, secret, groups)
            await stack.settled()
            print(f"the hub, broker {broker or 'embedded'}")
            await through_the_log(log_of(stack, environment), given)
            parts = {name: stack.find(name) for name in (("hub", "worker") if broker else ("hub", "worker", "broker"))}
            median = await measure(stack.port, token, signed, given, parts)
        finally:
            await stack.stop()
    print(f"hub over bare, p50       {median / least:.1f}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=float, default=500.0)
    options.add_argument("--seconds", type=float, default=20.0)
    options.add_argument("--sockets", type=int, default=1_000)
    options.add_argument("--share", type=int, default=20)
    options.add_argument("--bare", type=int, default=0, help="serve the baseline on this port")
    chosen = options.parse_args()
    if chosen.bare:
        bare(chosen.bare)
    else:
        uvloop.run(main(chosen))
