"""kill -9 in the middle of an import: it goes on where it was, with no row lost and none twice, and can be undone."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from typing import Any

import aiohttp
import asyncpg
import pytest

from engines.child import EngineError
from tests.system.stack import Stack

#: Rows of a file: several steps of reading and of writing.
ROWS = 20_000

WRITTEN = "SELECT count(*) FROM import_changes WHERE import_id = $1::uuid"
COUNTS = """
SELECT (SELECT count(*) FROM crm_contacts WHERE email LIKE $1) AS contacts,
       (SELECT count(*) FROM events WHERE type = 'contact.created' AND data -> 'after' ->> 'email' LIKE $1) AS events
"""


async def announced(stack: Stack) -> None:
    """Wait until `up` has said that it is ready, until which it asks Postgres itself and ends without it."""
    async with asyncio.timeout(120):
        while "Switchboard is ready at" not in stack.log.read_text():
            await asyncio.sleep(0.1)


async def signed_in(http: aiohttp.ClientSession, stack: Stack) -> None:
    username, password, _ = json.loads((stack.data / "sign-ins.json").read_text())[0]
    async with http.post("/api/auth/login/", json={"username": username, "password": password}) as reply:
        assert reply.status == 200, await reply.text()
        http.headers["Authorization"] = f"Bearer {(await reply.json())['access']}"


async def begun(http: aiohttp.ClientSession, id: str, verb: str) -> str:
    async with http.post(f"/api/v1/imports/{id}/{verb}/") as reply:
        assert reply.status == 202, await reply.text()
        return str((await reply.json())["id"])


async def connected(stack: Stack) -> asyncpg.Connection:
    """A connection, once Postgres is there again."""
    async with asyncio.timeout(60):
        while True:
            try:
                connection: asyncpg.Connection = await asyncpg.connect(stack.database)
                return connection
            except (OSError, EngineError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.05)


async def over(stack: Stack, job: str) -> Mapping[str, Any]:
    """The job, when it is over."""
    connection = await connected(stack)
    try:
        async with asyncio.timeout(180):
            while True:
                row = dict(await connection.fetchrow("SELECT * FROM jobs WHERE id = $1::uuid", job))
                if row["status"] not in ("pending", "running"):
                    return row
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def under_way(stack: Stack, id: str, rows: int) -> None:
    """Wait until so many rows were written."""
    connection = await asyncpg.connect(stack.database)
    try:
        async with asyncio.timeout(180):
            while await connection.fetchval(WRITTEN, id) < rows:
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def counted(stack: Stack, mark: str) -> tuple[int, int]:
    connection = await asyncpg.connect(stack.database)
    try:
        return tuple(await connection.fetchrow(COUNTS, f"{mark}-%"))
    finally:
        await connection.close()


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
@pytest.mark.parametrize("victim", ["worker", "postgres"])
async def test_an_import_survives_a_kill(stack: Stack, victim: str, soak: bool) -> None:
    if victim == "postgres" and not soak:
        pytest.skip("takes a minute; `make soak` does it")
    await announced(stack)
    for number in range(5 if soak else 1):
        mark = f"{victim}{number}"
        async with aiohttp.ClientSession(stack.url) as http:
            await signed_in(http, stack)
            lines = "".join(f"A,B,{mark}-{n}@example.com\n" for n in range(ROWS))
            form = aiohttp.FormData({"type": "contacts"})
            form.add_field("file", f"first_name,last_name,email\n{lines}", filename="contacts.csv")
            async with http.post("/api/v1/imports/", data=form) as reply:
                assert reply.status == 201, await reply.text()
                id = (await reply.json())["id"]
            job = await begun(http, id, "run")
            await under_way(stack, id, random.randrange(ROWS) if soak else 1)
            await stack.kill(victim)
            done = await over(stack, job)
            assert done["status"] == "completed", done["error"]
            assert json.loads(done["result"])["created"] == ROWS
            assert await counted(stack, mark) == (ROWS, ROWS)

            undone = await begun(http, id, "undo")
            await stack.kill("worker")
            done = await over(stack, undone)
            assert (done["status"], json.loads(done["result"])["deleted"]) == ("completed", ROWS), done["error"]
            assert await counted(stack, mark) == (0, ROWS)
