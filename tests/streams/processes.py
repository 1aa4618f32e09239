"""Workers as processes of their own, to be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

import orjson

from settings import Settings


class Process:
    """A running `main.py worker`, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def said(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait until it has logged an event so many times; the last one."""
        while True:
            found = [line for line in map(_parsed, self.lines) if line.get("event") == event]
            if len(found) >= times:
                return found[times - 1]
            await self._listen()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        line = await self._process.stderr.readline()
        if not line:
            raise AssertionError("the worker ended and said:\n" + "".join(self.lines))
        self.lines.append(line.decode())

    async def kill(self) -> None:
        """End it at once, without a chance to do anything."""
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        assert self._process.stderr is not None
        self.lines += [line.decode() async for line in self._process.stderr]
        return await self._process.wait()

    async def stop(self) -> None:
        """End it as a supervisor does."""
        if self._process.returncode is None:
            self._process.terminate()
            await self.ended()


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


@asynccontextmanager
async def process(settings: Settings, agents: str, *, module: str = "main") -> AsyncIterator[Process]:
    """A worker with these agents; `module` may be a saboteur that ends in `main.main()`."""
    environ = {f"HUB_{f.name.upper()}": str(getattr(settings, f.name)) for f in fields(settings)}
    started = Process(
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            "worker",
            "--agents",
            agents,
            env={**os.environ, **environ},
            stderr=asyncio.subprocess.PIPE,
        )
    )
    try:
        yield started
    finally:
        await started.stop()
