"""A bulk job changes each record once, says what became of each, and is told once to those it concerns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import orjson
import pytest

from models import database as databases
from models import jobs
from models.access import Audience, Role, Viewer
from models.database import Context
from streams.agents import AGENTS
from streams.audit import AUDIT
from streams.live import LIVE
from streams.notifications import NOTIFICATIONS
from streams.rebuild import rebuild
from tests.streams.story import Story

JOBS = AGENTS["jobs"]


@pytest.fixture(autouse=True)
async def orm(database: str) -> AsyncIterator[None]:
    """The ORM writes the SQL of records, as in a worker."""
    async with databases.orm(database, size=1):
        yield


async def _leads(story: Story, count: int, owner: int | None = None) -> list[int]:
    sql = """INSERT INTO crm_leads (first_name, last_name, email, owner_id, assigned_to_id)
             SELECT 'L' || n, 'Lead', 'l@example.com', $2::bigint, $2 FROM generate_series(1, $1::int) n RETURNING id"""
    return [row["id"] for row in await story.pool.fetch(sql, count, owner)]


async def _start(story: Story, actor: int, body: Mapping[str, Any]) -> UUID:
    async with story.pool.acquire() as connection, connection.transaction():
        with databases.through(connection):
            return await jobs.start(f"bulk_{body['action']}", body, Context(actor=actor), total=len(body["ids"]))


async def _finish(story: Story, id: UUID) -> dict[str, Any]:
    while (await _job(story, id))["status"] in ("pending", "running"):
        await story.follow(JOBS)
    await story.follow(JOBS)  # it hears of its own end
    return await _job(story, id)


async def _job(story: Story, id: UUID) -> dict[str, Any]:
    row = dict(await story.pool.fetchrow("SELECT * FROM jobs WHERE id = $1", id))
    return {**row, "result": orjson.loads(row["result"])}


async def _frames(story: Story, channel: str) -> list[Any]:
    rows = await story.pool.fetch(
        "SELECT data, audience FROM events WHERE topic = 'hub.publications' AND key = $1 ORDER BY id", channel
    )
    return [(orjson.loads(row["data"]), row["audience"]) for row in rows]


async def test_each_record_is_changed_once_and_its_failures_are_told(story: Story) -> None:
    ada, bob, cyd, _ = await story.people()
    ids = await _leads(story, 1200, bob)
    foreign = await _leads(story, 3, cyd)
    body = {"entity": "lead", "action": "update", "ids": [*foreign, *ids, 10**9], "data": {"status": "lost"}}
    id = await _start(story, bob, body)
    job = await _finish(story, id)

    assert (job["status"], job["step"], job["done"], job["failed"], job["total"]) == ("completed", 3, 1200, 4, 1204)
    unseen = [{"id": one, "result": "not_found", "detail": "Not found."} for one in [*foreign, 10**9]]
    assert job["result"] == {"updated": 1200, "deleted": 0, "unchanged": 0, "errors": unseen}
    rows = await story.pool.fetch("SELECT subject, context FROM events WHERE type = 'lead.updated'")
    assert sorted(int(row["subject"].partition(":")[2]) for row in rows) == ids
    contexts = {(c["request_id"], c["source"], c["actor"]) for c in (orjson.loads(row["context"]) for row in rows)}
    assert contexts == {(orjson.loads(job["context"])["request_id"], "job", bob)}
    frames = [frame["job"] for frame, _ in await _frames(story, f"job:{id}")]
    assert [(frame["done"] + frame["failed"], frame["status"]) for frame in frames] == [
        (500, "running"), (1000, "running"), (1204, "completed"),
    ]  # fmt: skip
    assert ada


async def test_activity_has_one_item_and_history_one_of_each(story: Story) -> None:
    for agent in (LIVE, AUDIT):
        await story.runtime(agent)
    ada, bob, *_ = await story.people()
    ids = await _leads(story, 700, bob)
    await story.follow(LIVE)
    await story.pool.execute("DELETE FROM events WHERE topic = 'hub.publications'")
    id = await _start(story, bob, {"entity": "lead", "action": "update", "ids": ids, "data": {"priority": "low"}})
    await _finish(story, id)
    await story.follow(LIVE)
    await story.follow(AUDIT)

    ((frame, audience),) = await _frames(story, "activity")
    item = frame["activity"]
    assert (frame["type"], item["action"], item["content_type"], item["object_id"]) == (
        "activity_created", "completed", "job", str(id),
    )  # fmt: skip
    assert item["description"] == "Bulk update of leads completed: 700 of 700 done, 0 failed"
    assert (item["actor_name"], item["job"]["done"]) == ("Bob Stone", 700)
    admits = Audience.parse(audience).admits
    assert admits(Viewer(id=ada, role=Role.ADMIN))
    assert admits(Viewer(id=bob, role=Role.SALES_REP))
    assert not admits(Viewer(id=bob + 1, role=Role.SALES_REP))
    assert len(await _frames(story, f"lead:{ids[5]}")) == 1
    assert await story.pool.fetchval("SELECT count(*) FROM audit_trail WHERE action = 'update'") == 700


async def test_whoever_is_given_records_is_told_the_number_once(story: Story) -> None:
    ada, bob, cyd, _ = await story.people()
    ids = await _leads(story, 600, bob)
    await story.pool.execute("UPDATE crm_leads SET assigned_to_id = $1 WHERE id = $2", cyd, ids[0])
    await story.runtime(NOTIFICATIONS)
    for user in (cyd, cyd, ada):
        body = {"entity": "lead", "action": "update", "ids": ids, "data": {"assigned_to": user}}
        id = await _start(story, ada, body)
        await _finish(story, id)
        await story.follow(NOTIFICATIONS)

    rows = await story.rows("notifications")
    (row,) = [row for row in rows if row["actor_id"] == ada]  # not what SQL did
    assert (row["user_id"], row["title"], row["object_type"]) == (cyd, "599 leads assigned to you", "job")
    assert row["message"] == "Ada Lovelace assigned 599 leads to you."
    assert row["action_url"] == f"/api/v1/leads/?assigned_to={cyd}&ordering=-updated_at"
    (*_, (frame, _)) = await _frames(story, f"#{cyd}")
    assert frame["notification"]["id"] == str(row["id"])
    await rebuild(story.pool, "notifications")
    await story.follow(NOTIFICATIONS)
    assert await story.rows("notifications") == rows


async def test_one_that_was_ended_tells_what_it_did(story: Story) -> None:
    await story.runtime(NOTIFICATIONS)
    ada, bob, *_ = await story.people()
    ids = await _leads(story, 1000)
    id = await _start(story, ada, {"entity": "lead", "action": "update", "ids": ids, "data": {"assigned_to": bob}})
    await story.follow(JOBS)
    async with story.pool.acquire() as connection:
        with databases.through(connection):
            assert await jobs.cancel(id)
    job = await _finish(story, id)
    await story.follow(NOTIFICATIONS)

    assert (job["status"], job["done"]) == ("cancelled", 500)
    ((frame, _),) = await _frames(story, "activity")
    assert frame["activity"]["description"] == "Bulk update of leads cancelled: 500 of 1000 done, 0 failed"
    assert (await _frames(story, f"job:{id}"))[-1][0]["job"]["status"] == "cancelled"
    (row,) = await story.rows("notifications")
    assert row["title"] == "500 leads assigned to you"


async def test_a_deletion(story: Story) -> None:
    ada, *_ = await story.people()
    ids = await _leads(story, 501)
    id = await _start(story, ada, {"entity": "lead", "action": "delete", "ids": ids})
    job = await _finish(story, id)
    assert (job["status"], job["result"]["deleted"]) == ("completed", 501)
    assert await story.pool.fetchval("SELECT count(*) FROM crm_leads") == 0


async def test_rights_count_at_each_step(story: Story) -> None:
    _, bob, *_ = await story.people()
    ids = await _leads(story, 1000, bob)
    id = await _start(story, bob, {"entity": "lead", "action": "update", "ids": ids, "data": {"status": "lost"}})
    await story.follow(JOBS)
    await story.pool.execute("UPDATE crm_users SET role = 'viewer' WHERE id = $1", bob)
    job = await _finish(story, id)
    assert (job["status"], job["done"], job["failed"]) == ("completed", 500, 500)
    assert {error["result"] for error in job["result"]["errors"]} == {"forbidden"}


async def test_what_is_not_valid_any_more_fails_the_job(story: Story) -> None:
    ada, *_ = await story.people()
    ids = await _leads(story, 501)
    id = await _start(story, ada, {"entity": "lead", "action": "update", "ids": ids, "data": {"colour": "red"}})
    job = await _finish(story, id)
    assert job["status"] == "failed"
    assert "colour" in job["error"]
