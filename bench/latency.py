"""From a client's publish to the last of its readers, beside a bare aiohttp loop in the same run.

    python -m bench.latency [--clients 10000] [--messages 100] [--rate 1000] [--seconds 10]

A client publishes over its own WebSocket; a hub puts that on the log, reads it again and writes it, the bare process
writes it at once. First at a steady rate to one reader; then to one channel with all clients, one publication after the
other: how long until the last has it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections.abc import Callable
from time import perf_counter

import aiohttp
import uvloop

from bench.crowd import commands, crowd
from bench.node import Server, bare, hub

#: Channel of the crowd, and that of the single reader.
EVERYBODY, ONE = "bench:0", "bench:one"

TEXT = "x" * 180


class Publisher:
    """A client that publishes; it listens to ONE itself."""

    def __init__(self, server: Server, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._server = server
        self._socket = socket
        self._id = 2
        self.delays: list[float] = []

    async def begin(self) -> None:
        """Connect and subscribe, where that is needed."""
        if self._server.name == "hub":
            await self._socket.send_str(commands("publisher", ONE))
            heard = ""
            while '"subscribe":' not in heard:
                heard += await self._socket.receive_str(timeout=20)

    async def publish(self, channel: str) -> None:
        """Publish the time it is."""
        data = {"at": perf_counter(), "text": TEXT}
        self._id += 1
        if self._server.name == "hub":
            said = json.dumps({"id": self._id, "publish": {"channel": channel, "data": data}})
        else:
            frame = json.dumps({"push": {"channel": channel, "pub": {"data": data, "offset": self._id}}})
            said = f"{channel}\0{frame}"
        await self._socket.send_str(said)

    async def listen(self, heard: Callable[[], None]) -> None:
        """Note how old each publication is that comes."""
        async for message in self._socket:
            now = perf_counter()
            for line in message.data.split("\n"):
                if line == "{}":
                    await self._socket.send_str("{}")
                elif "push" in (told := json.loads(line)):
                    self.delays.append(now - told["push"]["pub"]["data"]["at"])
                    heard()


def told(name: str, what: str, seconds: list[float]) -> float:
    """Print percentiles; the median."""
    cuts = statistics.quantiles(seconds, n=100)
    print(f"  {name:<5} {what:<28} p50 {cuts[49] * 1000:7.2f} ms   p99 {cuts[98] * 1000:7.2f} ms")
    return cuts[49]


async def to_all(server: Server, publisher: Publisher, clients: int, messages: int) -> float:
    """The median until the last of all clients has a publication."""
    delays: list[float] = []
    async with crowd(server, clients) as there:
        _, errors = await there.enter()
        assert not errors
        used = server.cpu()
        for _ in range(messages):
            begun = perf_counter()
            await publisher.publish(EVERYBODY)
            delays.append(await there.read(1) - begun)
        used = server.cpu() - used
    median = told(server.name, f"to the last of {clients:,}", delays)
    print(f"  {server.name:<5} {1e3 * used / messages:.1f} ms of CPU each")
    return median


async def to_one(server: Server, publisher: Publisher, rate: float, seconds: float) -> float:
    """The median to one reader at a steady rate, after a second to warm up."""
    warm, count = round(rate), round(rate * seconds)
    done = asyncio.Event()

    def heard() -> None:
        if len(publisher.delays) == warm + count:
            done.set()

    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(publisher.listen(heard))
        used, begun = server.cpu(), perf_counter()
        for number in range(warm + count):
            await asyncio.sleep(max(0.0, begun + number / rate - perf_counter()))
            await publisher.publish(ONE)
        async with asyncio.timeout(60):
            await done.wait()
        used = server.cpu() - used
        listening.cancel()
    median = told(server.name, f"to one at {rate:,.0f}/s", publisher.delays[warm:])
    print(f"  {server.name:<5} {1e6 * used / (warm + count):.0f} µs of CPU each")
    return median


async def measure(server: Server, given: argparse.Namespace) -> tuple[float, float]:
    query = f"?channel={ONE}" if server.name == "bare" else ""
    url = f"http://127.0.0.1:{server.port}/connection/websocket{query}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        publisher = Publisher(server, socket)
        await publisher.begin()
        one = await to_one(server, publisher, given.rate, given.seconds)
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
        publisher = Publisher(server, socket)
        await publisher.begin()
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(publisher.listen(lambda: None))
            every = await to_all(server, publisher, given.clients, given.messages)
            answering.cancel()
    return every, one


async def main(given: argparse.Namespace) -> None:
    async with bare() as loop:
        least = await measure(loop, given)
    async with hub() as (node, _):
        ours = await measure(node, given)
    print(f"hub over bare, p50: to all {ours[0] / least[0]:.1f}, to one {ours[1] / least[1]:.1f}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=10_000)
    options.add_argument("--messages", type=int, default=100)
    options.add_argument("--rate", type=float, default=1000.0)
    options.add_argument("--seconds", type=float, default=10.0)
    uvloop.run(main(options.parse_args()))
