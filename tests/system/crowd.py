"""A crowd on one channel: some read, some do not for long, some for a while; and what the hub makes of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from settings import Settings
from tests.hub.nodes import Outside, outside, prepare
from tests.system.hubs import KEY, Hub
from tests.system.listener import Listener, narrow

CHANNEL = "crowd:1"

#: Bytes of a publication, so many that no socket's buffers swallow a second of them.
PADDING = "x" * 1_000

#: Publications that are sent at a time.
BATCH = 10


@dataclass
class Crowd:
    """How many there are of each, and what they are sent."""

    #: Read all the time.
    healthy: int
    #: Stop reading before the first publication.
    stalled: int
    #: Come, and do not read either, when as much is still to come as half of the history.
    late: int
    #: Publications a second, and for how many seconds.
    rate: int
    seconds: float
    #: Publications the channel keeps.
    history: int

    @property
    def total(self) -> int:
        return int(self.rate * self.seconds)

    @property
    def configuration(self) -> dict[str, Any]:
        namespace = {"name": "crowd", "force_recovery": True, "allow_subscribe_for_client": True}
        kept = {"history_size": self.history, "history_ttl": "24h"}
        # Who does not read answers no ping either; that is another end than the one looked for.
        client = {"token": {"hmac_secret_key": KEY}, "ping_interval": "1h"}
        return {"client": client, "channel": {"namespaces": [namespace | kept]}}


@dataclass
class Outcome:
    """What was seen; memory in bytes (USS of the hub), delays in seconds."""

    #: When history was full for the first time, and at the end.
    warm: int = 0
    end: int = 0
    #: Subscriptions that the hub says are behind, at the end.
    behind: int = 0
    #: From a record's send to its reading by a healthy client, once history was full.
    delays: list[float] = field(default_factory=list)
    #: How the stalled ended, and the late ones that did not end.
    closes: Counter[int | None] = field(default_factory=Counter)
    went_on: int = 0
    cpu: float = 0.0


@asynccontextmanager
async def one_hub(settings: Settings, folder: Path, crowd: Crowd) -> AsyncIterator[Hub]:
    """A node that is ready."""
    await prepare(settings)
    hub = Hub(settings, folder, "hub", crowd.configuration)
    try:
        await hub.start()
        async with aiohttp.ClientSession() as http:
            await hub.ready(http)
        yield hub
    finally:
        await hub.stop()


async def watch(settings: Settings, hub: Hub, crowd: Crowd) -> Outcome:
    """Let the crowd come, say what is to be said, and let those that stalled read again; all that must hold is
    asserted, but nothing about time.
    """
    outcome = Outcome()
    quick = aiohttp.TCPConnector(limit=0)
    slow = aiohttp.TCPConnector(limit=0, socket_factory=narrow)
    async with (
        outside(settings) as log,
        aiohttp.ClientSession(connector=quick) as http,
        aiohttp.ClientSession(connector=slow) as narrowly,
    ):
        healthy = [Listener(f"healthy{n}", http, limit=300) for n in range(crowd.healthy)]
        stalled = [Listener(f"stalled{n}", narrowly, limit=300) for n in range(crowd.stalled)]
        late = [Listener(f"late{n}", narrowly, limit=300) for n in range(crowd.late)]
        await _come(hub, [*healthy, *stalled])
        for one in stalled:
            one.stall()
        process = psutil.Process(hub.process.pid if hub.process else None)
        cpu = sum(process.cpu_times()[:2])
        said, warm = count(1), min(crowd.total // 2, crowd.history + crowd.rate)
        await _say(log, said, warm, crowd)
        await _all(healthy, warm)
        outcome.warm = process.memory_full_info().uss
        _time(healthy, outcome.delays)
        await _say(log, said, crowd.total - warm - crowd.history // 2, crowd)
        await _come(hub, late)
        for one in late:
            one.stall()
        await _say(log, said, crowd.history // 2, crowd)
        await _all(healthy, crowd.total)
        outcome.end = process.memory_full_info().uss
        outcome.cpu = sum(process.cpu_times()[:2]) - cpu
        outcome.behind = await _behind(hub, http)
        await _go_on(stalled, late, crowd, outcome)
        for one in (*healthy, *late):
            await one.leave()
    return outcome


async def _come(hub: Hub, listeners: list[Listener]) -> None:
    for one in listeners:
        await one.come(hub)
        await one.subscribe(CHANNEL, recover=False)


async def _go_on(stalled: list[Listener], late: list[Listener], crowd: Crowd, outcome: Outcome) -> None:
    """Let them read again, until each has all or has been closed."""
    for one in (*stalled, *late):
        one.go_on()
    async with asyncio.timeout(120):
        for one in stalled:
            await one.ended()
        await _all(late, crowd.total)
    for one in stalled:
        assert one.failed is None, one.failed
        seen = one.seats[CHANNEL].seen
        assert list(seen) == list(range(1, len(seen) + 1))
        outcome.closes[one.code] += 1
    outcome.went_on = len(late)


async def _say(log: Outside, said: count[int], many: int, crowd: Crowd) -> None:
    """Put so many publications on the log, at the crowd's rate."""
    begun = time.monotonic()
    for sent in range(0, many, BATCH):
        await asyncio.sleep(begun + sent / crowd.rate - time.monotonic())
        numbers = [next(said) for _ in range(min(BATCH, many - sent))]
        now = time.monotonic()
        data = [{"id": str(number), "at": now, "pad": PADDING} for number in numbers]
        # As an agent's: ids of publications from outside are remembered for minutes, which is memory of another kind.
        await log.frames(CHANNEL, data)


async def _all(listeners: list[Listener], number: int) -> None:
    """Wait until each has every publication up to a number: all, once, in order, as the seats themselves check."""
    async with asyncio.timeout(120):
        for one in listeners:
            while one.seats[CHANNEL].at < number:
                assert one.failed is None, one.failed
                assert one.connected, (one.name, one.code)
                await asyncio.sleep(0.02)
            seen = one.seats[CHANNEL].seen
            assert seen == {n: str(n) for n in range(min(seen), number + 1)}


def _time(listeners: list[Listener], delays: list[float]) -> None:
    def heard(publication: dict[str, Any]) -> None:
        delays.append(time.monotonic() - publication["data"]["at"])

    told: Callable[[dict[str, Any]], None] = heard
    for one in listeners:
        one.heard = told


async def _behind(hub: Hub, http: aiohttp.ClientSession) -> int:
    """How many subscriptions the hub says are behind."""
    async with http.get(f"{hub.url}/metrics") as reply:
        (line,) = [line for line in (await reply.text()).splitlines() if line.startswith("hub_slow_cursors ")]
    return int(float(line.split()[1]))
