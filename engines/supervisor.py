"""Keeps the children of `up` running.

One that dies is started again, after a pause that doubles while it keeps dying. One that ends with a code that says
an operator is needed ends the supervision instead. Leaving stops them in the reverse of the order they came in.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import structlog

from engines.child import spawn, stop

log = structlog.get_logger()

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
#: A child that ran this long is healthy: its next death starts from the first pause again.
STEADY = 30.0
#: Exit codes of our commands for what a restart does not mend: bad settings, and a log that is not the database's.
FINAL_CODES = (2, 3)


class ChildFailed(Exception):
    """A child ended with a code that says an operator is needed."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"The {name} stopped and a restart would not help; its last message says why.")
        self.code = code


class Engine(Protocol):
    """What can be kept running."""

    async def start(self) -> Process:
        """Start it, anew if it ran before."""
        ...

    async def stop(self) -> None:
        """Stop it if it runs."""
        ...


class Program:
    """A program of ours as a child, its output on our terminal."""

    def __init__(self, argv: Sequence[str], environ: Mapping[str, str], *, grace: float = 15.0) -> None:
        self._argv = argv
        self._environ = environ
        self._grace = grace
        self._process: Process | None = None

    async def start(self) -> Process:
        """Start it; it may not be ready yet."""
        self._process = await spawn(self._argv, environ=self._environ)
        return self._process

    async def stop(self) -> None:
        """Ask it to stop, and kill it after its grace."""
        if self._process is not None:
            await stop(self._process, grace=self._grace)


Recover = Callable[[], Awaitable[Process]]


class Supervisor:
    """The children by name, in the order they came in."""

    def __init__(self) -> None:
        self._engines: dict[str, tuple[Engine, Recover]] = {}
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # First no one restarts anything, then everything stops.
        watches = list(self._watches.values())
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        await self.pause(*self._engines)
        self._failed.cancel()

    async def keep(self, name: str, engine: Engine, *, recover: Recover | None = None) -> None:
        """Start it and see that it stays up; `recover` is called instead of its start after it died."""
        self._engines[name] = (engine, recover or engine.start)
        await self.resume(name)

    async def pause(self, *names: str) -> None:
        """Stop these, in the reverse of the order given, until `resume`."""
        for name in reversed(names):
            watch = self._watches.pop(name, None)
            if watch is not None:
                watch.cancel()
                await asyncio.wait([watch])
            await self._engines[name][0].stop()
            log.info("child_stopped", child=name)

    async def resume(self, *names: str) -> None:
        """Start these, in the order given."""
        for name in names:
            process = await self._engines[name][0].start()
            log.info("child_started", child=name, pid=process.pid)
            self._watches[name] = asyncio.create_task(self._watch(name, process), name=f"watch {name}")

    async def failed(self) -> None:
        """Wait until an operator is needed, then raise ChildFailed."""
        await asyncio.shield(self._failed)

    async def _watch(self, name: str, process: Process) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            started = loop.time()
            code = await process.wait()
            if code in FINAL_CODES and not self._failed.done():
                self._failed.set_exception(ChildFailed(name, code))
                return
            if loop.time() - started > STEADY:
                pause = FIRST_PAUSE
            log.warning("child_died", child=name, code=code, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            process = await self._recovered(name)
            log.info("child_started", child=name, pid=process.pid)

    async def _recovered(self, name: str) -> Process:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._engines[name][1]()
            except Exception as error:  # whatever keeps it from starting, it is said and tried again
                pause = min(2 * pause, LONGEST_PAUSE)
                log.error("child_not_started", child=name, error=str(error), again_in=pause)
                await asyncio.sleep(pause)
