"""The timeline has one item for each change of a record and for each activity, in words."""

from __future__ import annotations

import orjson

from streams.timeline import TIMELINE
from tests.streams.story import Story


async def test_each_kind_of_item(story: Story) -> None:
    ada, bob, *_ = await story.people()
    contact = await story.happen(
        "INSERT INTO crm_contacts (first_name, last_name, email) VALUES ('Con', 'Tact', 'c@example.com') RETURNING id",
        actor=ada,
    )
    deal = await story.happen(
        """INSERT INTO crm_opportunities (name, contact_id, amount, expected_close_date)
           VALUES ('Deal', $1, 1250.50, '2026-12-01') RETURNING id""",
        contact,
        actor=ada,
    )
    task = await story.happen(
        "INSERT INTO crm_tasks (title, assigned_to_id) VALUES ('Call', $1) RETURNING id", bob, actor=ada
    )
    await story.happen("UPDATE crm_opportunities SET stage = 'proposal', notes = 'n'", actor=bob)
    await story.happen("UPDATE crm_opportunities SET notes = 'm'", actor=bob)
    await story.happen("UPDATE crm_tasks SET status = 'in_progress'", actor=bob)
    activity = await story.happen(
        """INSERT INTO crm_activities (actor_id, action, object_type, object_id, metadata)
           VALUES ($1, 'commented', 'opportunity', $2, '{"kind": "call"}') RETURNING id""",
        bob,
        str(deal),
        actor=bob,
    )
    await story.happen("DELETE FROM crm_activities WHERE id = $1", activity, actor=bob)
    await story.happen("DELETE FROM crm_tasks WHERE id = $1", task, actor=bob)
    await story.follow(TIMELINE)

    items = await story.rows("timeline")
    assert [(row["type"], row["action"], row["entity_type"], row["entity_name"]) for row in items] == [
        ("audit", "created", "contact", "Con Tact"),
        ("audit", "created", "opportunity", "Deal"),
        ("audit", "created", "task", "Call"),
        ("opportunity", "stage_change", "opportunity", "Deal"),
        ("audit", "updated", "opportunity", "Deal"),
        ("task", "task_update", "task", "Call"),
        ("activity", "commented", "opportunity", "Deal"),
        ("activity", "deleted", "opportunity", "Deal"),
        ("audit", "deleted", "task", "Call"),
    ]
    stage, task_item, logged = items[3], items[5], items[6]
    assert orjson.loads(stage["metadata"]) == {"stage": "proposal", "amount": 1250.5, "close_date": "2026-12-01"}
    assert '"amount": 1250.50' in stage["metadata"]
    assert stage["description"] == "Moved opportunity Deal from prospecting to proposal"
    assert orjson.loads(stage["changes"])["stage"] == {"old": "prospecting", "new": "proposal"}
    assert orjson.loads(task_item["metadata"]) == {"status": "in_progress", "priority": "medium", "due_date": None}
    assert (logged["entity_id"], logged["user_name"]) == (str(deal), "Bob Stone")
    assert orjson.loads(logged["metadata"]) == {"kind": "call"}
    assert items[0]["user_email"] == "ada@example.com"


async def test_names_outlive_people_and_records(story: Story) -> None:
    ada, bob, *_ = await story.people()
    await story.lead("Zoe", actor=bob)
    await story.happen("DELETE FROM crm_users WHERE id = $1", bob, actor=ada)
    await story.happen("DELETE FROM crm_leads", actor=ada)
    await story.follow(TIMELINE)
    created, deleted = await story.rows("timeline")
    assert (created["user_name"], created["entity_name"]) == ("Bob Stone", "Zoe Lead")
    assert deleted["entity_name"] == "Zoe Lead"
