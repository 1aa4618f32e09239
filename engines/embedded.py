"""The engines of `up`, under its supervisor, with their data and logs in its folder."""

from __future__ import annotations

from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from pathlib import Path

from engines.broker import Broker
from engines.postgres import Postgres
from engines.supervisor import Supervisor


async def keep_postgres(supervisor: Supervisor, folder: Path) -> str:
    """Start Postgres on the data in `folder` and keep it running; gives its URL."""
    postgres = Postgres(folder / "postgres", log=_log(folder, "postgres"))
    await supervisor.keep("postgres", postgres)
    return postgres.url()


async def keep_broker(
    supervisor: Supervisor, folder: Path, *, new_log: Callable[[str], Awaitable[None]], readers: tuple[str, ...]
) -> str:
    """Start the broker and keep it running; gives its address, having called `new_log` with it.

    It is empty whenever it starts. So when it died, the children named `readers` are stopped, it is started, `new_log`
    is called again, and they are started after.
    """
    broker = Broker(_log(folder, "broker"))

    async def renew() -> Process:
        await supervisor.pause(*readers)
        process = await broker.start()
        await new_log(broker.address)
        await supervisor.resume(*readers)
        print(
            "The broker died and another was started, empty. Messages that were only on the log are gone, and clients "
            "are told so. Every record, activity and hit is in Postgres; the agents go on from there.",
            flush=True,
        )
        return process

    await supervisor.keep("broker", broker, recover=renew)
    await new_log(broker.address)
    return broker.address


def _log(folder: Path, name: str) -> Path:
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    return logs / f"{name}.log"
