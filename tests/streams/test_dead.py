"""An event that cannot be derived is set aside, the rest goes on, and a retry puts everything in its place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
import pytest
from asyncpg.exceptions import InterfaceError, InternalClientError

from streams import dead, failures
from streams.audit import AUDIT
from streams.envelope import Event
from streams.live import LIVE
from streams.topics import CHANGES
from tests.streams.story import Story


async def _poisoned(story: Story) -> tuple[list[Event], int]:
    """A log in which the middle change of one lead cannot be derived; the log and that event's id."""
    await story.runtime(AUDIT)
    ada, *_ = await story.people()
    other = await story.lead("Other", actor=ada)
    lead = await story.lead("Zoe", actor=ada)
    await story.happen("UPDATE crm_leads SET status = 'contacted' WHERE id = $1", lead, actor=ada)
    poison = await story.pool.fetchval("SELECT max(id) FROM events")
    await story.happen("UPDATE crm_leads SET status = 'qualified'", actor=ada)
    await story.happen("DELETE FROM crm_leads WHERE id = $1", other, actor=ada)
    await story.number()
    return await story.log(AUDIT.topic_names), poison


async def test_the_rest_goes_on_and_a_retry_derives_the_record_again(story: Story) -> None:
    log, poison = await _poisoned(story)

    async def derive(connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int]) -> None:
        await AUDIT.derive(connection, events, quiet)
        if poison in [event.id for event in events]:
            await connection.execute("SELECT 1 / 0")

    runtime = await story.runtime(replace(AUDIT, derive=derive))
    await runtime.take(log)

    rows = await story.rows("audit_trail")
    assert [row["event_id"] for row in rows] == [event.id for event in log if event.id != poison]
    (found,) = await dead.list_dead(story.pool)
    assert (found.agent, found.event_id, found.type) == ("audit", poison, "lead.updated")
    assert "DivisionByZero" in found.error
    told = await story.pool.fetchrow("SELECT key, data FROM events WHERE topic = 'hub.dead'")
    assert told["key"] == found.key
    assert orjson.loads(told["data"])["event_id"] == poison

    await dead.retry(story.pool, found)

    assert await dead.list_dead(story.pool) == []
    assert [row["event_id"] for row in await story.rows("audit_trail")] == [event.id for event in log]
    await dead.retry(story.pool, found)
    assert [row["event_id"] for row in await story.rows("audit_trail")] == [event.id for event in log]


async def test_a_retry_publishes_what_was_not_published(story: Story) -> None:
    await story.runtime(LIVE)
    await story.people()
    lead = await story.lead("Zoe")
    await story.happen("UPDATE crm_leads SET lead_score = 3")
    await story.follow(LIVE)
    event = (await story.log([CHANGES.name]))[-1]
    async with story.pool.acquire() as connection:
        await failures.bury(connection, "live", event, ValueError("no"))
    (found,) = await dead.list_dead(story.pool, "live")
    since = await story.pool.fetchval("SELECT max(id) FROM events")
    await dead.retry(story.pool, found)
    await dead.retry(story.pool, found)
    told = await story.pool.fetch("SELECT key, data FROM events WHERE id > $1 ORDER BY id", since)
    assert [row["key"] for row in told] == ["activity", f"lead:{lead}"]
    assert orjson.loads(told[0]["data"])["activity"]["event_id"] == event.id


async def test_a_retry_that_fails_changes_nothing(story: Story) -> None:
    await _poisoned(story)
    await story.follow(AUDIT)
    event = (await story.log(AUDIT.topic_names))[-2]
    async with story.pool.acquire() as connection:
        await failures.bury(connection, "audit", event, ValueError("no"))
    await story.pool.execute("ALTER TABLE audit_trail ADD CONSTRAINT never CHECK (object_type <> 'lead') NOT VALID")
    rows = await story.rows("audit_trail")
    (found,) = await dead.list_dead(story.pool, "audit")
    with pytest.raises(asyncpg.CheckViolationError):
        await dead.retry(story.pool, found)
    assert await dead.list_dead(story.pool, "audit") == [found]
    assert await story.rows("audit_trail") == rows


async def test_what_is_not_a_change_is_set_aside(story: Story) -> None:
    await story.pool.execute(
        """INSERT INTO events (topic, key, type, subject, data)
           VALUES ('crm.changes', 'lead:1', 'lead.updated', 'lead:1', '{"before": null, "after": 7}')"""
    )
    await story.lead("Zoe")
    await story.follow(AUDIT)
    await story.happen("UPDATE crm_leads SET custom_fields = $1", '{"a":' + "[" * 5000 + "1.5" + "]" * 5000 + "}")
    await story.follow(AUDIT)
    found, deep = await dead.list_dead(story.pool)
    assert found.error.startswith("NotAChange")
    assert "nested too deeply" in deep.error
    assert len(await story.rows("audit_trail")) == 1


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (KeyError("stage"), True),
        (asyncpg.NumericValueOutOfRangeError(), True),
        (asyncpg.UniqueViolationError(), True),
        (asyncpg.DataError(), True),
        (asyncpg.SerializationError(), False),
        (asyncpg.DeadlockDetectedError(), False),
        (asyncpg.QueryCanceledError(), False),
        (asyncpg.ConnectionDoesNotExistError(), False),
        (asyncpg.AdminShutdownError(), False),
        (asyncpg.DiskFullError(), False),
        (asyncpg.UndefinedTableError(), False),
        (InterfaceError("connection is closed"), False),
        (InternalClientError("another operation is in progress"), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_who_is_to_blame(error: Any, blamed: bool) -> None:
    assert failures.is_of_the_event(error) is blamed
