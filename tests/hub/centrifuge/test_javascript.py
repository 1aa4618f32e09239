"""The official JavaScript client under Node, over every transport it has. Skips where there is no Node or npm."""

from __future__ import annotations

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from settings import Settings
from tests.hub.nodes import Node, node, outside, prepare

HERE = Path(__file__).parent / "javascript"
CACHE = Path(__file__).parents[3] / ".cache" / "javascript"

pytestmark = pytest.mark.one_broker


@pytest.fixture(scope="module")
def script() -> Path:
    """The client's script beside its packages, which npm brings once."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("There is no Node and npm.")
    CACHE.mkdir(parents=True, exist_ok=True)
    for file in HERE.iterdir():
        shutil.copy(file, CACHE)
    if not (CACHE / "node_modules" / "centrifuge").exists():
        reason = asyncio.run(_install(npm))
        if reason:
            pytest.skip(f"npm cannot bring the client: {reason}")
    return CACHE / "client.mjs"


async def _install(npm: str) -> str:
    """What went wrong, empty if nothing did."""
    process = await asyncio.create_subprocess_exec(
        npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", cwd=CACHE, stdout=PIPE, stderr=PIPE
    )
    _, said = await process.communicate()
    return said.decode()[-300:] if process.returncode else ""


class JavaScript:
    """A running client."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def said(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            line = await self._process.stdout.readline()
        assert line, "the client ended"
        found: dict[str, Any] = json.loads(line)
        return found

    async def told(self, word: str) -> None:
        """Tell it to do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        await self._process.stdin.drain()


@asynccontextmanager
async def client(script: Path, hub: Node, user: int, *arguments: str) -> AsyncIterator[JavaScript]:
    process = await asyncio.create_subprocess_exec(
        "node", str(script), hub.url, hub.token(user), *arguments, stdin=PIPE, stdout=PIPE
    )
    try:
        yield JavaScript(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


transports = pytest.mark.parametrize(
    ("transport", "format"),
    [
        ("websocket", "json"),
        ("websocket", "protobuf"),
        ("http_stream", "json"),
        ("http_stream", "protobuf"),
        ("sse", "json"),
    ],
)


@transports
async def test_it_listens_comes_back_and_misses_nothing(
    settings: Settings, script: Path, transport: str, format: str
) -> None:
    users = await prepare(settings)
    async with (
        node(settings) as hub,
        outside(settings) as log,
        client(script, hub, users["admin"], transport, "activity", format) as other,
    ):
        assert await other.said() == {"connected": transport}
        assert await other.said() == {"subscribed": "activity", "recovered": False}
        await log.frames("activity", [{"n": 1}, {"n": 2}])
        assert [await other.said() for _ in range(2)] == [{"offset": n, "data": {"n": n}} for n in (1, 2)]
        await other.told("disconnect")
        assert await other.said() == {"disconnected": 0}
        await log.frames("activity", [{"n": 3}, {"n": 4}])
        await other.told("connect")
        assert await other.said() == {"connected": transport}
        assert await other.said() == {"subscribed": "activity", "recovered": True}
        assert [await other.said() for _ in range(2)] == [{"offset": n, "data": {"n": n}} for n in (3, 4)]


@transports
async def test_it_is_sent_deltas_and_has_what_was_said(
    settings: Settings, script: Path, transport: str, format: str
) -> None:
    users = await prepare(settings)
    said = [{"n": n, "name": "Zo\u00eb", "stages": ["new", "qualified", "proposal"] * 5} for n in range(6)]
    async with (
        node(settings) as hub,
        outside(settings) as log,
        client(script, hub, users["admin"], transport, "activity", format, "fossil") as other,
    ):

        async def hears(*numbers: int) -> None:
            await log.frames("activity", [said[n] for n in numbers])
            assert [await other.said() for _ in numbers] == [{"offset": n + 1, "data": said[n]} for n in numbers]

        assert await other.said() == {"connected": transport}
        assert await other.said() == {"subscribed": "activity", "recovered": False}
        await hears(0, 1)
        await other.told("disconnect")
        assert await other.said() == {"disconnected": 0}
        await log.frames("activity", said[2:4])
        await other.told("connect")
        assert await other.said() == {"connected": transport}
        assert await other.said() == {"subscribed": "activity", "recovered": True}
        assert [await other.said() for _ in range(2)] == [{"offset": n + 1, "data": said[n]} for n in (2, 3)]
        await hears(4)
        await hears(5)
        await other.told("deltas")
        assert await other.said() == {"deltas": 4}
