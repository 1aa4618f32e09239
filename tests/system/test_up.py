"""`main.py up` with a child or itself killed: everything comes back, nothing stays behind, nothing accepted is lost."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import asyncpg
import psutil
import pytest

from engines.child import tail
from tests.system.stack import MARKS, Stack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    stack = Stack(tmp_path / "data")
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()


async def says(stack: Stack, words: str, times: int = 1) -> None:
    """Wait until these words stand in what `up` printed so many times."""
    try:
        async with asyncio.timeout(60):
            while stack.log.read_text().count(words) < times:
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never said {words!r} {times} times: {tail(stack.log, lines=20)}") from None


async def create_lead(stack: Stack) -> str:
    """Create a lead over REST; gives its id."""
    async with aiohttp.ClientSession(stack.url) as http:
        username, password, _ = json.loads((stack.data / "sign-ins.json").read_text())[0]
        async with http.post("/api/auth/login/", json={"username": username, "password": password}) as reply:
            assert reply.status == 200, await reply.text()
            headers = {"Authorization": f"Bearer {(await reply.json())['access']}"}
        values = {"first_name": "New", "last_name": "Lead", "email": "lead@example.com"}
        async with http.post("/api/v1/leads/", json=values, headers=headers) as reply:
            assert reply.status == 201, await reply.text()
            return str((await reply.json())["id"])


async def audited(stack: Stack, lead: str) -> list[str]:
    """Wait for a lead's audit records; gives their actions."""
    connection = await asyncpg.connect(stack.database)
    query = "SELECT action FROM audit_trail WHERE object_type = 'lead' AND object_id = $1"
    try:
        async with asyncio.timeout(60):
            while True:
                if rows := await connection.fetch(query, lead):
                    return [row["action"] for row in rows]
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def test_every_child_that_is_killed_comes_back_and_all_stop_in_order(stack: Stack) -> None:
    for name in MARKS:
        started = f'{{"child": "{name}", "pid"'
        before = stack.log.read_text().count(started)
        victim = stack.find(name)
        victim.kill()
        await says(stack, started, times=before + 1)
        await stack.ready()
        assert stack.find(name).pid != victim.pid
        assert await audited(stack, await create_lead(stack)) == ["create"]
    await says(stack, "The broker died and another was started, empty.")

    family = [stack.find(name) for name in MARKS]
    await stack.stop()
    assert not any(child.is_running() for child in family)
    stopped = [json.loads(line)["child"] for line in stack.log.read_text().splitlines() if '"child_stopped"' in line]
    assert stopped[-4:] == ["worker", "hub", "broker", "postgres"]
    assert not (stack.data / "postgres" / "postmaster.pid").exists()


async def test_nothing_outlives_it_and_it_starts_again(stack: Stack) -> None:
    lead = await create_lead(stack)
    parent = stack.find("hub").parent()
    assert parent is not None
    family = parent.children(recursive=True)
    parent.send_signal(signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 15)
    assert not alive
    await stack.start()
    assert await audited(stack, lead) == ["create"]
