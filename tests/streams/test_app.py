"""An agent over Faust, on each broker: it takes what the relay sends, shares partitions, and survives restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from settings import Settings
from streams import kafka, log, rebuild, worker
from streams.audit import AUDIT
from streams.catchup import Place
from tests.streams.relaying import all_sent, relaying
from tests.streams.story import Story


@asynccontextmanager
async def working(settings: Settings, agents: Iterable[str]) -> AsyncIterator[None]:
    """A worker with these agents, in this process, until the block ends; its failure ends the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run(settings, agents))
        yield
        task.cancel()


async def _change(story: Story, leads: int) -> None:
    for i in range(leads):
        lead = await story.lead(f"L{i}")
        await story.happen("UPDATE crm_leads SET lead_score = 5 WHERE id = $1", lead)


async def _exactly(story: Story, table: str, events: int) -> None:
    await story.taken(table, events)
    rows = [row["event_id"] for row in await story.rows(table)]
    assert len(rows) == len(set(rows)) == events


async def test_audit_on_one_worker_and_timeline_on_another(settings: Settings, story: Story) -> None:
    async with working(settings, ["audit"]), working(settings, ["timeline"]):
        await _change(story, 10)
        await _exactly(story, "audit_trail", 20)
        async with kafka.producer(settings) as producer:
            for value in (b"not an event", b"{}", None):
                await producer.send_and_wait(f"{settings.kafka_prefix}crm.changes", value, key=b"lead:1")
        await _change(story, 10)
        await _exactly(story, "audit_trail", 40)
        await _exactly(story, "timeline", 40)
    await _change(story, 5)
    async with working(settings, ["timeline", "audit"]):
        await _exactly(story, "audit_trail", 50)
        await _exactly(story, "timeline", 50)
    assert sum((await story.progress(AUDIT)).values()) == 50


async def test_what_the_log_no_longer_has_is_caught_up(settings: Settings, story: Story) -> None:
    """The audit agent was away while the log was made anew, and the timeline agent is new."""
    async with working(settings, ["audit"]):
        await _change(story, 5)
        await _exactly(story, "audit_trail", 10)
    async with relaying(settings):
        await _change(story, 10)
        await all_sent(story.pool)
    await log.new_log(settings, story.pool)
    async with working(settings, ["audit", "timeline"]):
        await _exactly(story, "audit_trail", 30)
        await _exactly(story, "timeline", 30)
        await rebuild.reset(story.pool, AUDIT, Place("crm.changes", 0))
        await _change(story, 2)
        await _exactly(story, "audit_trail", 34)
        await _exactly(story, "timeline", 34)
