"""How many deliveries a hub makes in a second of its processor time, beside a bare aiohttp loop in the same run.

    python -m bench.fanout [--clients 10000] [--seconds 10]

A publication of 200 bytes on a channel with history, in JSON, to one channel with a tenth of the clients and with all
of them, and to channels of ten; one at a time, and eight due at once. They are put on the log, so that reading and
folding count; the bare process is handed each frame on a socket and writes it to each client by itself. Only the
processor time of the server counts: the clients share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import perf_counter

import aiohttp
import uvloop

from bench.crowd import Crowd, crowd
from bench.node import Server, bare, hub
from settings import Settings
from streams import kafka
from streams.envelope import PUBLICATION, publication_headers
from streams.topics import PUBLICATIONS, partition_of

#: Publications due at once in a burst.
BURST = 8

PAYLOAD = b'{"text":"%b"}' % (b"x" * 189)

#: Publishes so many at once to a channel.
Publish = Callable[[str, int], Awaitable[None]]


@asynccontextmanager
async def to_the_log(settings: Settings) -> AsyncIterator[Publish]:
    """Publications as other hubs put them on the log."""
    topic = settings.kafka_prefix + PUBLICATIONS.name
    async with kafka.producer(settings) as producer:
        number = 0

        async def publish(channel: str, burst: int) -> None:
            nonlocal number
            for _ in range(burst):
                number += 1
                headers = publication_headers(type=PUBLICATION, id=str(number), time=datetime.now(UTC))
                place = partition_of(channel)
                await producer.send(topic, PAYLOAD, key=channel.encode(), partition=place, headers=headers)

        yield publish


@asynccontextmanager
async def to_bare(server: Server) -> AsyncIterator[Publish]:
    """Ready frames, by a socket."""
    url = f"http://127.0.0.1:{server.port}/connection/websocket"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:

        async def publish(channel: str, burst: int) -> None:
            frame = f'{{"push":{{"channel":"{channel}","pub":{{"data":{PAYLOAD.decode()},"offset":1000}}}}}}'
            for _ in range(burst):
                await socket.send_str(f"{channel}\0{frame}")

        yield publish


async def measure(
    server: Server, publish: Publish, clients: Crowd, *, rate: float, burst: int, seconds: float
) -> float:
    """Deliveries in a second of the server's processor time, at so many bursts a second."""
    bursts = max(2, round(rate * seconds))
    for number in range(clients.channels):  # the first of a channel costs more
        await publish(f"bench:{number}", 1)
    await clients.read(clients.channels)
    used, begun = server.cpu(), perf_counter()
    for number in range(bursts):
        await asyncio.sleep(max(0.0, begun + number / rate - perf_counter()))
        await publish(f"bench:{number % clients.channels}", burst)
    ended = await clients.read(bursts * burst)
    used = server.cpu() - used
    deliveries = bursts * burst * clients.clients // clients.channels
    print(
        f"  {server.name:<5} {'one at a time' if burst == 1 else f'{burst} at once':<14}{deliveries / used:>12,.0f}"
        f" deliveries per CPU-second   ({used:.2f} s for {deliveries:,}, {used / (ended - begun):.0%} of a core)"
    )
    return deliveries / used


async def compare(servers: list[tuple[Server, Publish]], clients: int, channels: int, seconds: float) -> None:
    """Print both servers, and their ratio."""
    print(f"{channels:,} channels of {clients // channels:,} clients")
    found: dict[tuple[str, int], float] = {}
    for server, publish in servers:
        async with crowd(server, clients, channels) as there:
            _, errors = await there.enter()
            assert not errors
            for burst in (1, BURST):
                rate = min(400.0, 40_000 / (clients / channels)) / burst**0.5
                found[server.name, burst] = await measure(
                    server, publish, there, rate=rate, burst=burst, seconds=seconds
                )
    for burst in (1, BURST):
        print(f"  hub over bare, {burst} at once: {found['hub', burst] / found['bare', burst]:.2f}")


async def main(given: argparse.Namespace) -> None:
    async with hub() as (node, settings), bare() as loop, to_the_log(settings) as log, to_bare(loop) as direct:
        idle = node.cpu()
        await asyncio.sleep(3)
        print(f"the hub without clients: {(node.cpu() - idle) / 3:.1%} of a core")
        servers = [(loop, direct), (node, log)]
        for clients, channels in (
            (given.clients // 10, 1),
            (given.clients, 1),
            (given.clients, given.clients // 10),
        ):
            await compare(servers, clients, channels, given.seconds)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=10.0)
    uvloop.run(main(options.parse_args()))
