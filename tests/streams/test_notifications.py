"""A user is notified of what somebody else assigned to them, if they may see it."""

from __future__ import annotations

from typing import Any

import orjson

from streams.notifications import NOTIFICATIONS
from tests.streams.story import Story


async def _told(story: Story) -> list[Any]:
    return await story.pool.fetch("SELECT key, data FROM events WHERE topic = 'hub.publications' ORDER BY id")


async def test_assignments_by_others(story: Story) -> None:
    await story.runtime(NOTIFICATIONS)
    ada, bob, cyd, _ = await story.people()
    lead = await story.lead("Zoe", actor=ada)
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", bob, actor=ada)
    await story.happen("UPDATE crm_leads SET lead_score = 4", actor=ada)
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", cyd, actor=cyd)
    await story.happen("UPDATE crm_leads SET assigned_to_id = NULL", actor=ada)
    task = await story.happen(
        "INSERT INTO crm_tasks (title, assigned_to_id) VALUES ('Call', $1) RETURNING id", cyd, actor=bob
    )
    await story.follow(NOTIFICATIONS)

    first, second = await story.rows("notifications")
    assert (first["user_id"], first["object_type"], first["object_id"]) == (bob, "lead", str(lead))
    assert first["title"] == "Lead assigned to you: Zoe Lead"
    assert first["message"] == "Ada Lovelace assigned the lead Zoe Lead to you."
    assert (second["user_id"], second["action_url"]) == (cyd, f"/api/v1/tasks/{task}/")
    told = await _told(story)
    assert [row["key"] for row in told] == [f"#{bob}", f"#{cyd}"]
    frame = orjson.loads(told[0]["data"])
    assert frame["type"] == "notification"
    assert frame["notification"]["id"] == str(first["id"])
    assert frame["notification"]["url"] == f"/api/v1/leads/{lead}/"


async def test_not_of_what_they_may_not_see(story: Story) -> None:
    await story.runtime(NOTIFICATIONS)
    ada, _, _, dot = await story.people()
    contact = await story.happen(
        "INSERT INTO crm_contacts (first_name, last_name, email) VALUES ('C', 'T', 'c@example.com') RETURNING id"
    )
    await story.happen(
        """INSERT INTO crm_opportunities (name, contact_id, amount, expected_close_date, assigned_to_id)
           VALUES ('Secret', $1, 1, '2026-12-01', $2)""",
        contact,
        dot,
        actor=ada,
    )
    await story.follow(NOTIFICATIONS)
    assert await story.rows("notifications") == []
    assert await _told(story) == []
