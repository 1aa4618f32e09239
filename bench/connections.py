"""What idle Centrifuge clients cost one hub node, and how fast a storm of them is in.

    python -m bench.connections [--clients 10000] [--seconds 60]

Each client connects and subscribes to one channel in one frame. Memory is what the process alone uses, before and
after, divided; the bare aiohttp process beside it has the same sockets and nothing else. Pings are at their default
interval and are answered. Then everybody goes, and all come at once.
"""

from __future__ import annotations

import argparse
import asyncio

import uvloop

from bench.crowd import Crowd, crowd
from bench.node import Server, bare, hub


async def enter(server: Server, clients: Crowd, what: str, *, at_once: int = 200) -> None:
    """Let all in, and print what that took."""
    before, used = server.memory(), server.cpu()
    seconds, errors = await clients.enter(at_once)
    used = server.cpu() - used
    each = (server.memory() - before) / clients.clients / 1024
    print(
        f"  {server.name:<5} {what:<8}{clients.clients:,} clients subscribed in {seconds:.1f} s, {errors} errors; "
        f"{each:.1f} KB more and {1e6 * used / clients.clients:.0f} µs of CPU each"
    )


async def rest(server: Server, seconds: float) -> None:
    """Print what the server uses while nothing happens but pings."""
    used = server.cpu()
    await asyncio.sleep(seconds)
    print(f"  {server.name:<5} idle    {(server.cpu() - used) / seconds:.1%} of a core over {seconds:.0f} s")


async def main(given: argparse.Namespace) -> None:
    async with bare() as loop, crowd(loop, given.clients, max(1, given.clients // 10)) as clients:
        await enter(loop, clients, "memory")
    async with hub() as (node, _):
        print("without clients")
        await rest(node, 5)
        async with crowd(node, given.clients, max(1, given.clients // 10)) as clients:
            await enter(node, clients, "memory")
            await rest(node, given.seconds)
        async with crowd(node, given.clients, max(1, given.clients // 10)) as clients:
            await rest(node, 5)  # until it has forgotten the others
            await enter(node, clients, "storm", at_once=given.clients)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=60.0)
    uvloop.run(main(options.parse_args()))
