"""Workers as processes: killed at the worst moment, sharing partitions, stalled, and told another story."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import aiohttp
import orjson
import pytest

from settings import Settings
from streams import envelope, kafka
from tests.streams.processes import process
from tests.streams.story import Story


async def _once(story: Story, events: int) -> None:
    await story.taken("audit_trail", events)
    rows = [row["event_id"] for row in await story.rows("audit_trail")]
    assert len(rows) == len(set(rows)) == events


async def test_killed_workers_lose_and_double_nothing(settings: Settings, story: Story) -> None:
    for i in range(10):
        await story.lead(f"before{i}")
    async with process(settings, "audit", module="tests.streams.dying") as dying:
        assert await dying.ended() == -9
    assert await story.rows("audit_trail") == []

    async with process(settings, "audit") as first, process(settings, "audit") as second:
        await asyncio.gather(first.said("partitions_assigned"), second.said("partitions_assigned"))
        for i in range(10):
            await story.lead(f"shared{i}")
        await _once(story, 20)
        await _pages((await second.said("worker_started"))["port"])
        writing = asyncio.create_task(_write(story, 40))
        await story.taken("audit_trail", 30)
        await first.kill()
        await writing
        await _once(story, 60)


async def _pages(port: int) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        async with client.get("/health/live") as answer:
            assert answer.status == 200
        async with client.get("/health/ready") as answer:
            ready = await answer.json()
            assert (answer.status, ready["status"]) == (200, "ready")
            assert ready["agents"]["audit"]["failures"] == 0
        async with client.get("/metrics") as answer:
            metrics = await answer.text()
    assert 'agent_events_total{agent="audit"}' in metrics
    assert 'agent_lag{agent="audit",partition="0",topic="crm.changes"}' in metrics


async def _write(story: Story, leads: int) -> None:
    for i in range(leads):
        await story.lead(f"during{i}")


@pytest.mark.one_broker
async def test_a_stalled_worker_ends_itself(settings: Settings, story: Story) -> None:
    async with process(settings, "audit", module="tests.streams.stalling") as stalling:
        await stalling.said("partitions_assigned")
        ended = asyncio.create_task(stalling.ended())
        while not ended.done():
            await story.lead("waits")
            await asyncio.wait({ended}, timeout=0.5)
        assert await ended == 1
    assert "The agent audit has taken nothing for" in stalling.lines[-1]


async def test_a_log_that_is_ahead_of_postgres_stops_the_worker(settings: Settings, story: Story) -> None:
    async with process(settings, "audit") as worker:
        await worker.said("partitions_assigned")
        lead = await story.lead("known")
        await _once(story, 1)
        row = {
            "id": 4711,
            "type": "lead.updated",
            "subject": f"lead:{lead}",
            "at": datetime.now(UTC),
            "key": f"lead:{lead}",
            "schema": 3,
            "data": orjson.dumps({"before": {"id": lead}, "after": {"id": lead}}).decode(),
            "context": "{}",
        }
        async with kafka.producer(settings) as producer:
            await producer.send_and_wait(
                f"{settings.kafka_prefix}crm.changes", envelope.encode(row, 2), key=f"lead:{lead}".encode()
            )
        assert await worker.ended() == 3
    assert "which the events table does not" in worker.lines[-1]
    assert "run `main.py newlog`" in worker.lines[-1]
