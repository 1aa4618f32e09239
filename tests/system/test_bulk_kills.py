"""kill -9 of the worker in the middle of a bulk job: each record is changed once, and audited once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import aiohttp
import asyncpg

from tests.system.stack import Stack

LEADS = 5_000
#: How many are done when the worker dies, each time. The soak takes any moments.
MOMENTS = (2_000,)
#: Jobs in the soak, and kills in each.
ROUNDS, KILLS = 5, 4

MAKE = """
INSERT INTO crm_leads (first_name, last_name, email, company_name)
SELECT 'B' || n, 'Bulk', 'bulk@example.com', $1 FROM generate_series(1, $2::int) n RETURNING id
"""
#: Events of the job, the records they are of, and the records whose value is not what was asked for.
CHANGED = """
SELECT (SELECT count(*) FROM events WHERE type = 'lead.updated' AND context ->> 'request_id' = $1),
       (SELECT count(DISTINCT subject) FROM events WHERE type = 'lead.updated' AND context ->> 'request_id' = $1),
       (SELECT count(*) FROM crm_leads WHERE company_name = $2 AND status <> 'lost')
"""
AUDITED = """
SELECT count(*), count(DISTINCT object_id), count(DISTINCT event_id) FROM audit_trail
WHERE request_id = $1::uuid AND action = 'update'
"""


async def test_a_bulk_job_survives_kills_of_its_worker(stack: Stack, soak: bool) -> None:
    for number in range(ROUNDS if soak else 1):
        moments = sorted(random.choices(range(LEADS), k=KILLS)) if soak else MOMENTS
        await _survived(stack, f"bulk {number}", moments)


async def _survived(stack: Stack, mark: str, moments: Sequence[int]) -> None:
    connection = await asyncpg.connect(stack.database)
    try:
        ids = [row["id"] for row in await connection.fetch(MAKE, mark, LEADS)]
        job, request = await _begin(stack, ids)
        for moment in moments:
            if await _reached(connection, job, moment) == "completed":
                break
            await stack.kill("worker")
        await _reached(connection, job, LEADS)
        row = await connection.fetchrow(
            "SELECT status, done, failed, result->>'updated' AS updated FROM jobs WHERE id = $1", job
        )
        assert tuple(row) == ("completed", LEADS, 0, str(LEADS)), moments
        assert tuple(await connection.fetchrow(CHANGED, request, mark)) == (LEADS, LEADS, 0), moments
        await stack.settled()
        assert tuple(await connection.fetchrow(AUDITED, request)) == (LEADS, LEADS, LEADS), moments
        ended = await connection.fetchval("SELECT count(*) FROM events WHERE type = 'job.ended' AND key = $1", job)
        assert ended == 1
    finally:
        await connection.close()


async def _begin(stack: Stack, ids: list[int]) -> tuple[str, str]:
    """The job's id and the id of the request that began it."""
    async with aiohttp.ClientSession(stack.url) as http:
        async with http.post("/api/auth/login/", json={"username": "ada", "password": "switchboard-demo"}) as reply:
            headers = {"Authorization": f"Bearer {(await reply.json())['access']}"}
        body = {"ids": ids, "action": "update", "data": {"status": "lost"}}
        async with http.post("/api/v1/leads/bulk_update/", json=body, headers=headers) as reply:
            assert reply.status == 202, await reply.text()
            return (await reply.json())["id"], reply.headers["X-Request-ID"]


async def _reached(connection: asyncpg.Connection, job: str, done: int) -> str:
    """Wait until so many records are done; the job's status."""
    async with asyncio.timeout(120):
        while True:
            row = await connection.fetchrow("SELECT done, status FROM jobs WHERE id = $1", job)
            if row["done"] >= done:
                status: str = row["status"]
                return status
            await asyncio.sleep(0.005)
