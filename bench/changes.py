"""From a record's change to its frame on the activity socket, with all agents on: `python -m bench.changes`.

PATCHes over REST at a steady rate against a whole `main.py up` (or HUB_KAFKA), each at its own moment whatever the
others take. A change counts from the moment its trigger wrote it (`created_at`, before the commit) to the moment the
frame is read; the answer to the PATCH is timed beside it, so that the frame's delay can be held against it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from datetime import datetime
from pathlib import Path
from time import perf_counter, time

import aiohttp

from tests.system.stack import Stack

LEADS = 300
#: Requests under way at once.
CONNECTIONS = 32


class Frames:
    """The delays of the frames seen, in seconds."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self._seen = asyncio.Event()

    async def read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now = time()
            frame = json.loads(message.data)
            if frame["type"] == "activity_created" and frame["activity"]["action"] == "updated":
                self.delays.append(now - datetime.fromisoformat(frame["activity"]["created_at"]).timestamp())
                self._seen.set()

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(120):
            while len(self.delays) < count:
                self._seen.clear()
                await self._seen.wait()


async def changes(http: aiohttp.ClientSession, headers: dict[str, str], rate: float, count: int) -> list[float]:
    """So many PATCHes at that rate a second; how long each answer took, in seconds."""
    answers: list[float] = []
    begin = perf_counter()

    async def change(number: int) -> None:
        await asyncio.sleep(max(0.0, begin + number / rate - perf_counter()))
        started = perf_counter()
        body = {"notes": f"change {number} of {count}"}
        async with http.patch(f"/api/v1/leads/{number % LEADS + 1}/", json=body, headers=headers) as reply:
            assert reply.status == 200, await reply.text()
            await reply.read()
        answers.append(perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(change(number))
    return answers


def told(name: str, seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"{name:<24} p50 {cuts[49] * 1000:7.1f} ms   p95 {cuts[94] * 1000:7.1f} ms   p99 {cuts[98] * 1000:7.1f} ms"


async def measure(stack: Stack, rate: float, seconds: float) -> None:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(stack.url, connector=connector) as http:
        body = {"username": "ada", "password": "switchboard-demo"}
        async with http.post("/api/auth/login/", json=body) as reply:
            headers = {"Authorization": f"Bearer {(await reply.json())['access']}"}
        await stack.settled()
        async with http.ws_connect("/ws/activity/", headers=headers) as socket:
            await socket.receive_json()
            frames = Frames()
            reading = asyncio.create_task(frames.read(socket))
            warm = int(rate)
            await changes(http, headers, rate, warm)
            await frames.reach(warm)
            frames.delays.clear()
            count = int(rate * seconds)
            answers = await changes(http, headers, rate, count)
            await frames.reach(count)
            reading.cancel()
    print(f"{count} changes at {rate:.0f}/s, broker {stack.given.get('HUB_KAFKA', 'embedded')}")
    print(told("change to frame", frames.delays))
    print(told("PATCH to answer", answers))
    print(f"frame over answer, p50   {statistics.median(frames.delays) / statistics.median(answers):.2f}")


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rate", type=float, default=200.0)
    options.add_argument("--seconds", type=float, default=20.0)
    given = options.parse_args()
    environment = {}
    if kafka := os.environ.get("HUB_KAFKA"):
        environment = {"HUB_KAFKA": kafka, "HUB_KAFKA_PREFIX": f"bench{os.getpid()}.", "HUB_SECRET": "b" * 32}
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data", environment)
        try:
            await stack.start()
            await measure(stack, given.rate, given.seconds)
        finally:
            await stack.stop()


if __name__ == "__main__":
    asyncio.run(main())
