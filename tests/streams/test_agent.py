"""An agent takes every event once: whatever the log repeats, reorders, loses, or makes up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Sequence
from dataclasses import replace

import asyncpg
import pytest

from streams import agent as agents
from streams import catchup
from streams.agent import Agent, Runtime
from streams.audit import AUDIT
from streams.catchup import LogMismatch, Place
from streams.envelope import Event
from streams.topics import CHANGES
from tests.streams.story import Story

TOPICS = [CHANGES.name]


async def _a_day(story: Story, leads: int = 12) -> None:
    ada, *_ = await story.people()
    for i in range(leads):
        lead = await story.lead(f"L{i}", actor=ada)
        await story.happen("UPDATE crm_leads SET lead_score = 7, notes = 'x' WHERE id = $1", lead, actor=ada)
        if i % 3 == 0:
            await story.happen("DELETE FROM crm_leads WHERE id = $1", lead, actor=ada)
    await story.number()


async def _once(story: Story) -> None:
    happened = [row["id"] for row in await story.pool.fetch("SELECT id FROM events WHERE topic = ANY($1)", TOPICS)]
    taken = [row["event_id"] for row in await story.rows("audit_trail")]
    assert taken == sorted(happened)


async def test_everything_the_log_brings(story: Story) -> None:
    await _a_day(story)
    runtime = await story.runtime(AUDIT)
    await runtime.take(await story.log(TOPICS))
    await _once(story)


@pytest.mark.parametrize("seed", range(6))
async def test_repeats_reordering_and_gaps(story: Story, seed: int) -> None:
    dice = random.Random(seed)
    await _a_day(story)
    log = await story.log(TOPICS)
    runtimes = [await story.runtime(AUDIT), await story.runtime(AUDIT)]
    for _ in range(8):
        batch = dice.choices(log, k=dice.randrange(1, 12))
        await asyncio.gather(*(runtime.take(batch) for runtime in runtimes))
    await runtimes[0].take(dice.sample(log, len(log)))
    await _once(story)
    await runtimes[1].take(log)
    await _once(story)


async def test_one_late_record_is_enough_to_catch_up(story: Story) -> None:
    await _a_day(story)
    log = await story.log(TOPICS)
    last = {event.partition: event for event in log}
    runtime = await story.runtime(AUDIT)
    await runtime.take(last.values())
    await _once(story)


async def test_a_new_agent_catches_up_in_silence(story: Story) -> None:
    await _a_day(story)
    loud: list[int] = []

    async def derive(connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int]) -> None:
        loud.extend(event.id for event in events if event.id not in quiet)

    late = Agent(name="late", topics=(CHANGES,), derive=derive)
    runtime = await story.follow(late)
    assert not loud
    await story.lead("new")
    await story.number()
    log = await story.log(TOPICS)
    await runtime.take(log)
    assert loud == [log[-1].id]


async def test_a_failed_batch_leaves_nothing(story: Story) -> None:
    await _a_day(story)
    failures = iter([OSError("no route"), TimeoutError(), asyncpg.SerializationError("conflict")])

    async def derive(connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int]) -> None:
        await AUDIT.derive(connection, events, quiet)
        for failure in failures:
            raise failure

    agent = replace(AUDIT, derive=derive)
    await (await story.runtime(agent)).take(await story.log(TOPICS))
    await _once(story)
    assert await story.pool.fetchval("SELECT count(*) FROM dead_events") == 0


async def test_a_lost_connection_is_tried_again(story: Story) -> None:
    await _a_day(story)
    log = await story.log(TOPICS)
    kills = iter(range(4))

    async def derive(connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int]) -> None:
        await AUDIT.derive(connection, events, quiet)
        for _ in kills:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    await (await story.runtime(replace(AUDIT, derive=derive))).take(log)
    await _once(story)
    assert await story.pool.fetchval("SELECT count(*) FROM dead_events") == 0


async def test_a_large_event_is_read_from_postgres(story: Story) -> None:
    await story.happen(
        """INSERT INTO crm_leads (first_name, last_name, email, notes)
           VALUES ('Big', 'Lead', 'b@example.com', repeat('ä', 600000))"""
    )
    await story.number()
    (event,) = await story.log(TOPICS)
    assert event.data is None
    await (await story.runtime(AUDIT)).take([event])
    (row,) = await story.rows("audit_trail")
    assert len(row["new_values"]) > 600_000


def _busiest(log: Sequence[Event]) -> list[Event]:
    """The events of the partition that has most."""
    partitions = [event.partition for event in log]
    return [event for event in log if event.partition == max(partitions, key=partitions.count)]


async def test_a_log_that_tells_another_story_stops_the_agent(story: Story) -> None:
    await _a_day(story)
    log = await story.log(TOPICS)
    first, second, *_ = _busiest(log)
    runtime = await story.runtime(AUDIT)
    for wrong in (
        replace(first, id=first.id + 1_000_000),
        replace(first, time=second.time),
        replace(second, n=1),
    ):
        with pytest.raises(LogMismatch, match=r"run `main\.py newlog`"):
            await runtime.take([wrong])
    await runtime.take([first])
    with pytest.raises(LogMismatch, match=f"was event {first.id}"):
        await runtime.take([replace(second, n=1)])
    await runtime.take(log)
    await _once(story)
    with pytest.raises(LogMismatch, match="the log has number 10000"):
        await runtime.take([replace(first, n=10_000)])


async def test_a_postgres_put_back_is_noticed(story: Story) -> None:
    """The last changes are lost, others took their numbers; the log still brings the lost ones."""
    await _a_day(story)
    log = await story.log(TOPICS)
    lost = max(log, key=lambda event: event.id)
    place = Place(lost.topic, lost.partition)
    runtime = await story.runtime(AUDIT)
    await runtime.take([event for event in log if event.id < lost.id])
    await story.pool.execute("UPDATE events SET at = clock_timestamp() WHERE id = $1", lost.id)
    before = await story.progress(AUDIT)
    with pytest.raises(LogMismatch, match=f"{place.topic}/{place.partition}"):
        await runtime.take([lost])
    assert await story.progress(AUDIT) == before


async def test_a_hole_in_events_stops_the_agent(story: Story) -> None:
    await _a_day(story)
    log = await story.log(TOPICS)
    first, second, *_ = _busiest(log)
    runtime = await story.runtime(AUDIT)
    await runtime.take([first])
    await story.pool.execute("DELETE FROM events WHERE id = $1", second.id)
    with pytest.raises(LogMismatch, match=f"has number {second.n + 1} but not {second.n}"):
        await runtime.catch_up([Place(CHANGES.name, first.partition)])


async def test_waiting_grows_to_a_limit_and_is_never_the_same() -> None:
    pauses = [agents.pause(attempt) for attempt in range(1, 60)]
    assert all(0.05 <= p <= agents.LONGEST_PAUSE for p in pauses)
    assert max(pauses[:3]) < 0.5
    assert len(set(pauses)) > 50


async def test_progress_is_per_place(story: Story) -> None:
    await _a_day(story)
    log = await story.log(TOPICS)
    runtime: Runtime = await story.runtime(AUDIT)
    await runtime.take([event for event in log if event.partition == log[0].partition])
    ends = {Place(e.topic, e.partition): e.n for e in log}
    progress = await story.progress(AUDIT)
    assert progress[Place(CHANGES.name, log[0].partition)] == ends[Place(CHANGES.name, log[0].partition)]
    assert sum(n > 0 for n in progress.values()) == 1
    assert set(progress) == set(catchup.places(TOPICS, range(8)))
