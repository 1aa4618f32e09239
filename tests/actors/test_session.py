"""Sessions on a partition: whatever happens, each sees what it may see, once, in order, or is told that it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import delivery, log, partition
from actors.partition import Partition
from tests.actors.world import World, remember, state

CLIENTS = 4
CHANNELS = ("a", "b", "c")

clients = st.integers(0, CLIENTS - 1)
publications = st.lists(
    st.tuples(st.sampled_from(CHANNELS), st.sampled_from([None, None, b"0", b"1", b"02", b""])), min_size=1, max_size=6
)
steps = st.one_of(
    st.tuples(st.just("publish"), publications),
    st.tuples(st.just("publish"), publications),
    st.tuples(st.just("publish and go on"), publications),
    st.tuples(st.just("join"), clients, st.sampled_from([("a",), ("a", "b"), CHANNELS])),
    st.tuples(st.just("resume"), clients, st.sampled_from([("a",), ("b", "a"), CHANNELS])),
    st.tuples(st.just("leave"), clients),
    st.tuples(st.just("room"), clients, st.sampled_from([0, 0, 1, 2, 5])),
    st.tuples(st.just("drain"), clients),
    st.tuples(st.just("tick"), st.sampled_from([1, 10, 100])),
    st.tuples(st.just("others"), st.integers(1, 5)),
)
losses = st.one_of(steps, steps, steps, steps, st.just(("month",)), st.just(("cut",)))


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Bounds that a test reaches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "CHANNELS", 3)
        patch.setattr(partition, "PAGE", 3)
        patch.setattr(partition, "BATCH_BYTES", 4)
        patch.setattr(partition, "WITHHELD", 3)
        patch.setattr(delivery, "WITHHELD", 3)
        yield


async def step(world: World, what: tuple[Any, ...]) -> None:
    match what:
        case ("publish", items):
            await world.partition.ask(world.publish(items))
        case ("publish and go on", items):
            world.partition.tell(world.publish(items))
        case ("join" | "resume" as how, client, channels):
            await world.join(client, channels, resume=how == "resume")
        case ("leave", client):
            await world.leave(client)
        case ("room", client, room):
            if (socket := world.socket(client)) is not None:
                socket.room = room
        case ("drain", client):
            if (socket := world.socket(client)) is not None:
                socket.drain(None)
        case ("tick", seconds):
            world.partition.tell(world.tick(seconds))
        case ("others", turns):
            for _ in range(turns):
                await asyncio.sleep(0)
        case ("month",):
            await world.partition.ask(world.tick(31 * 24 * 3600))
        case ("cut",):
            world.reach = world.offset


async def live_through(history: list[tuple[Any, ...]], *, size: int, budget: int) -> None:
    async with Partition(0, state(), retention=lambda _: remember(size), budget=budget) as actor:
        world = World(actor)
        for what in history:
            await step(world, what)
        await world.settle()
        world.check(all_remembered=size == 10_000)
        for client in list(world.open):
            await world.leave(client)
        assert actor.listeners == 0


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40))
def test_when_all_is_remembered_nobody_misses_anything(history: list[tuple[Any, ...]]) -> None:
    asyncio.run(live_through(history, size=10_000, budget=10**9))


@settings(max_examples=600, deadline=None)
@given(st.lists(losses, max_size=40), st.sampled_from([0, 1, 3, 8]))
def test_when_little_is_remembered_the_log_helps_or_the_session_is_told(
    history: list[tuple[Any, ...]], size: int
) -> None:
    asyncio.run(live_through(history, size=size, budget=5_000))
