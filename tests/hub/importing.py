"""Files sent to a hub without a worker: jobs are done here, as relay and log would bring them."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp

from streams import catchup
from streams.agents import AGENTS
from streams.topics import COMMANDS, partition_of
from tests.hub.documented import DOCUMENTED
from tests.hub.rest import Answer, Caller, Rest
from tests.streams.story import Story

IMPORTS = "/api/v1/imports/"


def form(file: bytes, name: str = "rows.csv", **fields: str) -> aiohttp.FormData:
    """A multipart body with a file."""
    made = aiohttp.FormData()
    for field, text in fields.items():
        made.add_field(field, text)
    made.add_field("file", io.BytesIO(file), filename=name, content_type="application/octet-stream")
    return made


async def send(caller: Caller, path: str, file: bytes, name: str = "rows.csv", **fields: str) -> Answer:
    """Post a file."""
    headers = {"Authorization": f"Bearer {caller.token}"}
    async with caller.http.post(caller.url + path, data=form(file, name, **fields), headers=headers) as reply:
        answer = Answer(reply.status, await reply.json(), reply.headers)
    DOCUMENTED.check("POST", path, answer.status, reply.content_type, answer.body)
    return answer


#: Only commands are numbered: of what they cause nothing is asked here.
NUMBER = """
WITH numbered AS (
    UPDATE events e SET partition = $1, n = o.n + coalesce((SELECT numbered FROM relay_marks WHERE topic = e.topic
        AND partition = $1), 0)
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM events WHERE n IS NULL AND id = ANY($2)) AS o
    WHERE e.id = o.id RETURNING e.topic, e.n
)
INSERT INTO relay_marks AS m (topic, partition, numbered, sent) SELECT topic, $1, max(n), max(n) FROM numbered
GROUP BY topic ON CONFLICT (topic, partition) DO UPDATE SET numbered = excluded.numbered, sent = excluded.sent
"""


async def _number(rest: Rest) -> bool:
    """Give commands their numbers; whether there were any."""
    rows = await rest.pool.fetch("SELECT id, key FROM events WHERE n IS NULL AND topic = $1 ORDER BY id", COMMANDS.name)
    places: dict[int, list[int]] = {}
    for row in rows:
        places.setdefault(partition_of(row["key"]), []).append(row["id"])
    for partition, ids in places.items():
        await rest.pool.execute(NUMBER, partition, ids)
    return bool(rows)


async def work(rest: Rest) -> None:
    """Do every step of every job that there is."""
    agent = AGENTS["jobs"]
    runtime = await Story(rest.pool).runtime(agent)
    while await _number(rest):
        await runtime.catch_up(catchup.places(agent.topic_names, range(8)))


async def step(rest: Rest) -> None:
    """Do the next step of every job."""
    agent = AGENTS["jobs"]
    await _number(rest)
    await (await Story(rest.pool).runtime(agent)).catch_up(catchup.places(agent.topic_names, range(8)))


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
