"""A job is a chain of steps that goes on through repeats, failures and several workers, and never forks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from models import database, jobs
from models.database import Context
from models.jobs import ENDED, STEP
from streams import jobs as agents
from streams.agent import Agent
from streams.steps import CannotGoOn, Progress, Work
from streams.topics import COMMANDS
from tests.streams.story import Story

LEAD = "INSERT INTO crm_leads (first_name, last_name, email) VALUES ($1, 'Lead', 'l@example.com')"


async def _count(connection: asyncpg.Connection, work: Work) -> Progress:
    """One lead a step, as many as the parameters say."""
    at = work.state.get("at", 0) + 1
    await connection.execute(LEAD, f"L{at}")
    last = work.parameters["leads"]
    return Progress(finished=at == last, done=1, total=last, state={"at": at}, result={"last": at})


async def _refuse(connection: asyncpg.Connection, work: Work) -> Progress:
    await connection.execute(LEAD, "never")
    raise CannotGoOn("There is nothing to do.")


async def _break(connection: asyncpg.Connection, work: Work) -> Progress:
    """Fails as long as there is no lead of that name."""
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM crm_leads WHERE first_name = 'mended')"):
        await connection.execute(LEAD, "never")
        raise ValueError("secret of the machine room")
    return Progress(finished=True, done=1)


async def _give(connection: asyncpg.Connection, work: Work) -> Progress:
    """Gives somebody two leads, then one more once there is a lead of that name."""
    user = work.parameters["to"]
    if work.step == 0:
        return Progress(finished=False, done=2, assigned={user: 2})
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM crm_leads WHERE first_name = 'mended')"):
        raise CannotGoOn("Not yet.")
    return Progress(finished=True, done=1, assigned={user: 1})


AGENT = agents.agent({"count": _count, "refuse": _refuse, "break": _break, "give": _give})


async def _start(story: Story, kind: str, actor: int | None, parameters: Mapping[str, Any] | None = None) -> UUID:
    async with story.pool.acquire() as connection, connection.transaction():
        with database.through(connection):
            context = Context(actor=actor, user_agent="pytest", source="api")
            return await jobs.start(kind, parameters or {}, context)


async def _run(story: Story, agent: Agent = AGENT) -> None:
    """Do every step there is, as relay and log would bring them."""
    while True:
        before = await story.pool.fetchval("SELECT count(*) FROM events WHERE topic = $1", COMMANDS.name)
        await story.follow(agent)
        if before == await story.pool.fetchval("SELECT count(*) FROM events WHERE topic = $1", COMMANDS.name):
            return


async def _job(story: Story, id: UUID) -> dict[str, Any]:
    return dict(await story.pool.fetchrow("SELECT * FROM jobs WHERE id = $1", id))


async def _frames(story: Story, id: UUID) -> list[Any]:
    rows = await story.pool.fetch("SELECT data FROM events WHERE key = $1 ORDER BY id", f"job:{id}")
    return [orjson.loads(row["data"])["job"] for row in rows]


async def test_every_step_is_done_once_and_told(story: Story) -> None:
    ada, *_ = await story.people()
    id = await _start(story, "count", ada, {"leads": 4})
    await _run(story)

    job = await _job(story, id)
    assert (job["status"], job["done"], job["total"], job["step"]) == ("completed", 4, 4, 4)
    assert orjson.loads(job["result"]) == {"last": 4}
    assert job["finished_at"] is not None
    names = await story.pool.fetch("SELECT first_name FROM crm_leads ORDER BY id")
    assert [row["first_name"] for row in names] == ["L1", "L2", "L3", "L4"]
    told = await _frames(story, id)
    assert [(frame["done"], frame["status"]) for frame in told] == [
        (1, "running"), (2, "running"), (3, "running"), (4, "completed"),
    ]  # fmt: skip


async def test_its_changes_are_its_owners_by_the_request_that_began_it(story: Story) -> None:
    ada, *_ = await story.people()
    id = await _start(story, "count", ada, {"leads": 2})
    await _run(story)
    asked = orjson.loads((await _job(story, id))["context"])["request_id"]
    rows = await story.pool.fetch("SELECT context FROM events WHERE type = 'lead.created'")
    contexts = [orjson.loads(row["context"]) for row in rows]
    assert [(c["actor"], c["source"], c["request_id"]) for c in contexts] == [(ada, "job", asked)] * 2


async def test_workers_at_once_and_commands_again_do_not_fork_it(story: Story) -> None:
    ada, *_ = await story.people()
    ids = [await _start(story, "count", ada, {"leads": 5}) for _ in range(3)]
    workers = [await story.runtime(AGENT), await story.runtime(AGENT)]
    for _ in range(6):
        await story.number()
        log = await story.log([COMMANDS.name])
        await asyncio.gather(*(worker.take(log + log) for worker in workers))
    for id in ids:
        assert (await _job(story, id))["status"] == "completed"
    assert await story.pool.fetchval("SELECT count(*) FROM crm_leads") == 15
    commands = await story.pool.fetch("SELECT type FROM events WHERE topic = $1", COMMANDS.name)
    assert Counter(row["type"] for row in commands) == {STEP: 15, ENDED: 3}


async def test_one_that_cannot_go_on_says_why_and_leaves_nothing(story: Story) -> None:
    ada, *_ = await story.people()
    id = await _start(story, "refuse", ada)
    unknown = await _start(story, "dance", ada)
    nobody = await _start(story, "count", None, {"leads": 1})
    await _run(story)

    assert (await _job(story, id))["error"] == "There is nothing to do."
    assert (await _frames(story, id))[-1]["status"] == "failed"
    assert "kind 'dance'" in (await _job(story, unknown))["error"]
    assert "no longer an active user" in (await _job(story, nobody))["error"]
    assert await story.pool.fetchval("SELECT count(*) FROM crm_leads") == 0
    assert await story.rows("dead_events") == []


async def test_a_step_that_breaks_fails_the_job_which_goes_on_there_when_it_is_resumed(story: Story) -> None:
    ada, *_ = await story.people()
    id = await _start(story, "break", ada)
    await _run(story)

    job = await _job(story, id)
    assert (job["status"], job["error"], job["step"]) == ("failed", agents.UNEXPECTED, 0)
    assert "machine room" not in orjson.dumps(await _frames(story, id)).decode()
    (dead,) = await story.rows("dead_events")
    assert "machine room" in dead["error"]
    assert await story.pool.fetchval("SELECT count(*) FROM crm_leads") == 0

    await story.happen(LEAD, "mended")
    async with story.pool.acquire() as connection:
        with database.through(connection):
            assert await jobs.resume(id)
            assert not await jobs.resume(id)
    await _run(story)
    assert (await _job(story, id))["status"] == "completed"
    (dead,) = await story.rows("dead_events")
    assert dead["retried_at"] is not None


async def test_a_cancelled_one_does_no_further_step(story: Story) -> None:
    ada, *_ = await story.people()
    id = await _start(story, "count", ada, {"leads": 3})
    await story.follow(AGENT)
    async with story.pool.acquire() as connection:
        with database.through(connection):
            assert await jobs.cancel(id)
            assert not await jobs.cancel(id)
    await _run(story)
    job = await _job(story, id)
    assert (job["status"], job["done"]) == ("cancelled", 1)
    assert await story.pool.fetchval("SELECT count(*) FROM crm_leads") == 1


async def test_whom_it_gave_records_is_said_once_each_time_it_ends(story: Story) -> None:
    ada, bob, *_ = await story.people()
    goes_on, given_up = [await _start(story, "give", ada, {"entity": "lead", "to": bob}) for _ in range(2)]
    await _run(story)
    async with story.pool.acquire() as connection:
        with database.through(connection):
            assert await jobs.cancel(given_up)
            await story.happen(LEAD, "mended")
            assert await jobs.resume(goes_on)
    await _run(story)
    said: dict[UUID, list[Any]] = {goes_on: [], given_up: []}
    for row in await story.pool.fetch("SELECT key, data FROM events WHERE type = $1 ORDER BY id", ENDED):
        data = orjson.loads(row["data"])
        assert (data["entity"], data["created_by"]) == ("lead", ada)
        said[UUID(row["key"])].append((data["status"], data["assigned"]))
    assert said == {
        goes_on: [("failed", {str(bob): 2}), ("completed", {str(bob): 1})],
        given_up: [("failed", {str(bob): 2}), ("cancelled", {})],
    }
    items = await story.pool.fetch("SELECT data FROM events WHERE key = 'activity' ORDER BY id")
    outcomes = [orjson.loads(row["data"])["activity"]["action"] for row in items]
    assert sorted(outcomes) == ["cancelled", "completed", "failed", "failed"]
