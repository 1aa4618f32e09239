"""What must be done at the end is done, whoever is cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hub.centrifuge.node import NODE
from hub.ending import complete
from settings import Settings
from tests.hub.centrifuge.clients import configured, connection_token, raw
from tests.hub.nodes import prepare


async def test_a_cancelled_caller_waits_for_the_end() -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        done.set()

    caller = asyncio.create_task(complete(work()))
    await begun.wait()
    for _ in range(2):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


async def test_what_fails_is_raised() -> None:
    async def fail() -> None:
        raise KeyError("why")

    with pytest.raises(KeyError, match="why"):
        await complete(fail())


async def test_a_client_that_says_goodbye_and_hangs_up_leaves_nothing(here: Settings, tmp_path: Path) -> None:
    await prepare(here)
    async with configured(here, tmp_path) as hub:
        for turn in range(5):
            async with raw(hub) as client:
                await client.connected(connection_token(f"u{turn}"))
                for number in range(5):
                    assert "subscribe" in await client.ask(2 + number, subscribe={"channel": f"chat:{number}"})
        async with asyncio.timeout(20):
            while sum(partition.listeners for partition in hub.fold.partitions) or hub.app[NODE].clients:
                await asyncio.sleep(0)
