"""The whole hub against a model: clients come and go, nodes are killed and started, and nobody misses or doubles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from settings import Settings
from tests.conftest import Run
from tests.examples import examples
from tests.hub.nodes import prepare
from tests.system.hubs import Hub
from tests.system.listener import narrow
from tests.system.world import CONFIGURATION, World

CLIENTS = 6

#: Numbers choose among what there is: clients, channels, nodes.
NUMBER = st.integers(0, 5)
NODE = st.integers(0, 1)

Step = tuple[str, tuple[Any, ...]]


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*arguments))


COME = step("come", NUMBER, NODE)
SUBSCRIBE = step("subscribe", NUMBER, NUMBER, st.booleans())
TELL = step("tell", NUMBER, NODE, st.integers(1, 30), st.sampled_from([10, 3_000]))
SAY = step("say", NUMBER, NUMBER, st.integers(1, 10))

#: What happens often stands there more than once.
STEP = st.one_of(
    *(COME, COME, SUBSCRIBE, SUBSCRIBE, SUBSCRIBE, TELL, TELL, TELL, SAY, SAY),
    step("unsubscribe", NUMBER, NUMBER),
    step("drop", NUMBER),
    *(step("stall", st.sampled_from([1, 3, 5]), NUMBER, NODE),) * 3,
    step("go_on", NUMBER),
    step("look_back", NUMBER, NUMBER, st.integers(0, 1000), st.integers(1, 50)),
    step("kill", NODE),
    step("start", NODE),
    step("start", NODE),
    step("settle"),
)
#: Everybody is there and listens before anything happens, so that much can happen to them.
BEGINNING: list[Step] = [
    *(("come", (client, client)) for client in range(CLIENTS)),
    *(("subscribe", (client, channel, True)) for client in range(CLIENTS) for channel in (client, client + 1)),
]
SCRIPT = st.lists(STEP, min_size=25, max_size=60)


@asynccontextmanager
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@asynccontextmanager
async def narrowly() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, socket_factory=narrow)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


async def play(hubs: list[Hub], script: list[Step]) -> World:
    """Let a script happen, on channels of its own; everybody has left afterwards."""
    async with http() as session, narrowly() as slow:
        world = World(session, hubs, clients=CLIENTS, narrow=slow)
        try:
            for name, arguments in [*BEGINNING, *script]:
                await getattr(world, name)(*arguments)
            await world.settle()
        finally:
            await world.end()
        return world


def test_every_view_is_the_model_s(run: Run[Any], settings: Settings, tmp_path: Path) -> None:
    hubs = [Hub(settings, tmp_path, name, CONFIGURATION) for name in ("first", "second")]
    worlds: list[World] = []

    # Not made smaller when it fails: it would take hours, and what the processes do is never quite the same again.
    @hypothesis_settings(
        max_examples=examples(4), phases=(Phase.generate,), suppress_health_check=list(HealthCheck), database=None
    )
    @given(SCRIPT)
    def every_view_is_the_model_s(script: list[Step]) -> None:
        worlds.append(run(play(hubs, script)))

    async def start() -> None:
        await prepare(settings)
        for hub in hubs:
            await hub.start()
        async with http() as session:
            for hub in hubs:
                await hub.ready(session)

    async def finish() -> None:
        """Nobody is left behind on any node, whatever was killed."""
        async with http() as session:
            for hub in hubs:
                await hub.start()
                await hub.ready(session)
            for world in worlds:
                await world.exorcised(session)

    async def stop() -> None:
        for hub in hubs:
            await hub.stop()

    try:
        run(start())
        every_view_is_the_model_s()
        run(finish())
    finally:
        run(stop())
