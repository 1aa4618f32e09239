"""Files sent to a hub without a worker: jobs are done here, as relay and log would bring them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from streams.agents import AGENTS
from streams.topics import COMMANDS
from tests.hub.rest import Answer, Caller, Rest
from tests.streams.story import Story

IMPORTS = "/api/v1/imports/"


def form(file: bytes, name: str = "rows.csv", **fields: str) -> aiohttp.FormData:
    """A multipart body with a file."""
    made = aiohttp.FormData()
    for field, text in fields.items():
        made.add_field(field, text)
    made.add_field("file", file, filename=name, content_type="application/octet-stream")
    return made


async def send(caller: Caller, path: str, file: bytes, name: str = "rows.csv", **fields: str) -> Answer:
    """Post a file."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    async with caller.http.post(caller.url + path, data=form(file, name, **fields), headers=headers) as reply:
        return Answer(reply.status, await reply.json(), reply.headers)


async def work(rest: Rest) -> None:
    """Do every step of every job that there is."""
    story = Story(rest.pool)
    commands = "SELECT count(*) FROM events WHERE topic = $1"
    while True:
        before = await rest.pool.fetchval(commands, COMMANDS.name)
        await story.follow(AGENTS["jobs"])
        if before == await rest.pool.fetchval(commands, COMMANDS.name):
            return


async def at_once(rest: Rest, caller: Caller, kind: str, file: bytes, **fields: str) -> Answer:
    """Import in one request while a worker is at work."""
    asking = asyncio.create_task(send(caller, f"/api/v1/import/{kind}/", file, **fields))
    while not asking.done():
        await work(rest)
        await asyncio.wait({asking}, timeout=0.02)
    return asking.result()


async def done(rest: Rest, caller: Caller, id: str, verb: str = "run") -> dict[str, Any]:
    """Begin a job on an import and do it; the job."""
    begun = await caller.post(f"{IMPORTS}{id}/{verb}/", None)
    assert begun.status == 202, begun.body
    await work(rest)
    job: dict[str, Any] = (await caller.get(f"/api/v1/jobs/{begun.body['id']}/")).body
    return job


async def text(caller: Caller, path: str) -> bytes:
    """The body of an answer that is no JSON."""
    async with caller.http.get(caller.url + path, headers={"Authorization": f"Bearer {caller.token}"}) as reply:
        assert reply.status == 200, await reply.text()
        return await reply.read()
