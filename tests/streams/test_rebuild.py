"""A rebuild gives the same rows again and publishes nothing."""

from __future__ import annotations

import asyncio

import pytest

from streams import rebuild
from streams.agent import Agent
from streams.agents import AGENTS, UnknownAgent
from streams.audit import AUDIT
from streams.rebuild import RebuildError
from tests.streams.story import Story

WITH_ROWS = [agent for agent in AGENTS.values() if agent.tables]


async def _years(story: Story) -> None:
    ada, bob, cyd, _ = await story.people()
    for i in range(10):
        lead = await story.lead(f"L{i}", actor=ada, owner=bob)
        await story.happen("UPDATE crm_leads SET assigned_to_id = $2 WHERE id = $1", lead, cyd, actor=bob)
        await story.happen("UPDATE crm_leads SET lead_score = lead_score + 1", actor=bob)
    await story.happen("UPDATE crm_users SET first_name = 'Robert' WHERE id = $1", bob, actor=ada)
    await story.happen("UPDATE crm_leads SET status = 'lost' WHERE id % 2 = 0", actor=bob)
    await story.happen("DELETE FROM crm_users WHERE id = $1", cyd, actor=ada)


@pytest.mark.parametrize("agent", WITH_ROWS, ids=lambda agent: agent.name)
async def test_the_same_rows_again(story: Story, agent: Agent) -> None:
    await _years(story)
    await story.follow(agent)
    before = [await story.rows(table) for table in agent.tables]
    assert all(before)
    stood = await story.progress(agent)
    published = await story.pool.fetchval("SELECT max(id) FROM events")

    assert await rebuild.rebuild(story.pool, agent.name) == sum(stood.values())

    assert [await story.rows(table) for table in agent.tables] == before
    assert await story.progress(agent) == stood
    assert await story.pool.fetchval("SELECT max(id) FROM events") == published


async def test_while_the_agent_runs_and_things_happen(story: Story) -> None:
    await _years(story)
    runtime = await story.follow(AUDIT)
    await story.lead("late")
    await story.number()
    log = await story.log(AUDIT.topic_names)
    await asyncio.gather(rebuild.rebuild(story.pool, "audit"), runtime.take(log[-3:]), runtime.take(log))
    taken = [row["event_id"] for row in await story.rows("audit_trail")]
    assert taken == [event.id for event in log]


async def test_what_cannot_be_rebuilt(story: Story) -> None:
    with pytest.raises(UnknownAgent, match=r"There is no agent 'clock'\. Agents are: audit, timeline"):
        await rebuild.rebuild(story.pool, "clock")
    for agent in AGENTS.values():
        if not agent.tables:
            with pytest.raises(RebuildError, match=f"The agent {agent.name} keeps no rows"):
                await rebuild.rebuild(story.pool, agent.name)
