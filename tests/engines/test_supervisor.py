"""Children that die come back, those that need an operator do not, and none outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from engines.child import EngineError, spawn, stop
from engines.supervisor import ChildFailed, Program, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(600)"]


class Watched(Program):
    """A program that notes its stops in `order`, gives its starts to await, and refuses some starts after the first."""

    def __init__(self, name: str = "child", *, order: list[str] | None = None, refusals: int = 0) -> None:
        super().__init__(SLEEP, os.environ)
        self.started: asyncio.Queue[Process] = asyncio.Queue()
        self._name = name
        self._order = [] if order is None else order
        self._refusals = [False] + [True] * refusals

    async def start(self) -> Process:
        if self._refusals and self._refusals.pop(0):
            raise EngineError("not yet")
        process = await super().start()
        await self.started.put(process)
        return process

    async def stop(self) -> None:
        await super().stop()
        self._order.append(self._name)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    async with Supervisor() as supervisor:
        yield supervisor


async def test_restarts_one_that_was_killed_however_often_its_start_fails(supervisor: Supervisor) -> None:
    child = Watched(refusals=2)
    await supervisor.keep("child", child)
    first = await child.started.get()
    first.kill()
    second = await child.started.get()
    assert second.returncode is None
    assert second.pid != first.pid


async def test_calls_recover_instead_of_start_after_a_death(supervisor: Supervisor) -> None:
    order: list[str] = []
    engine, reader = Watched("engine"), Watched("reader", order=order)

    async def recover() -> Process:
        await supervisor.pause("reader")
        process = await engine.start()
        await supervisor.resume("reader")
        return process

    await supervisor.keep("engine", engine, recover=recover)
    await supervisor.keep("reader", reader)
    old = await reader.started.get()
    (await engine.started.get()).kill()
    new = await reader.started.get()
    assert order == ["reader"]
    assert old.returncode == -signal.SIGTERM
    assert new.returncode is None


@pytest.mark.parametrize("code", [2, 3])
async def test_gives_up_when_an_operator_is_needed(supervisor: Supervisor, code: int) -> None:
    await supervisor.keep("child", Program([sys.executable, "-c", f"exit({code})"], os.environ))
    with pytest.raises(ChildFailed, match="child stopped") as raised:
        await supervisor.failed()
    assert raised.value.code == code


async def test_stops_all_in_reverse_order() -> None:
    order: list[str] = []
    async with Supervisor() as supervisor:
        for name in ("one", "two"):
            await supervisor.keep(name, Watched(name, order=order))
    assert order == ["two", "one"]


def printed(log: Path) -> bool:
    return log.stat().st_size > 0


async def test_kills_one_that_does_not_stop(tmp_path: Path) -> None:
    process = await spawn(STUBBORN, log=tmp_path / "log")
    while True:
        if printed(tmp_path / "log"):
            break
        await asyncio.sleep(0.01)
    await stop(process, grace=0.1)
    assert process.returncode == -signal.SIGKILL


async def test_says_when_a_program_is_missing() -> None:
    with pytest.raises(EngineError, match="/nowhere/program cannot be started: No such file"):
        await spawn(["/nowhere/program"])


PARENT = """
import asyncio, sys
from engines.child import spawn

async def main():
    process = await spawn([sys.executable, "-c", "import time; time.sleep(600)"])
    print(process.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at the parent's death is Linux's")
def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(timeout=10)
