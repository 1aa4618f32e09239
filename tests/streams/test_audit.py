"""The audit trail and the field history say what happened, by whom, and in words."""

from __future__ import annotations

import orjson

from streams.audit import AUDIT
from tests.streams.story import Story


async def test_one_record_for_each_change(story: Story) -> None:
    ada, bob, *_ = await story.people()
    lead = await story.lead("Zoe", actor=ada, owner=ada)
    await story.happen("UPDATE crm_leads SET status = 'contacted', assigned_to_id = $1", bob, actor=ada)
    await story.happen("UPDATE crm_leads SET status = 'contacted'", actor=ada)
    await story.happen("DELETE FROM crm_leads", actor=bob)
    await story.follow(AUDIT)

    created, updated, deleted = [row for row in await story.rows("audit_trail") if row["object_type"] == "lead"]
    assert [created["action"], updated["action"], deleted["action"]] == ["create", "update", "delete"]
    assert {row["object_id"] for row in (created, updated, deleted)} == {str(lead)}
    assert created["user_email"] == "ada@example.com"
    assert deleted["user_id"] == bob
    assert str(updated["ip_address"]) == "192.0.2.7"
    assert updated["user_agent"] == "pytest"
    assert orjson.loads(updated["metadata"])["source"] == "test"
    assert updated["description"] == "Changed status and assigned to of lead Zoe Lead"
    assert orjson.loads(updated["changes"]) == {
        "status": {"old": "new", "new": "contacted"},
        "assigned_to": {"old": None, "new": bob},
    }
    assert orjson.loads(created["new_values"])["email"] == "lead@example.com"
    assert orjson.loads(deleted["old_values"])["status"] == "contacted"
    assert set(orjson.loads(updated["new_values"])) == {"status", "assigned_to_id", "updated_at"}


async def test_field_history_shows_names(story: Story) -> None:
    ada, bob, cyd, _ = await story.people()
    await story.lead("Zoe", actor=ada)
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", bob, actor=ada)
    await story.happen("UPDATE crm_users SET last_name = 'Pebble' WHERE id = $1", bob, actor=ada)
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", cyd, actor=ada)
    await story.follow(AUDIT)

    first, second = [row for row in await story.rows("field_history") if row["field_name"] == "assigned_to"]
    assert (first["old_value"], first["new_value"], first["field_label"]) == (None, str(bob), "Assigned to")
    assert (first["old_value_display"], first["new_value_display"]) == (None, "Bob Stone")
    assert (second["old_value_display"], second["new_value_display"]) == ("Bob Pebble", "Cyd Moss")
    assert second["changed_by_id"] == ada
    trail = {row["id"]: row for row in await story.rows("audit_trail")}
    assert trail[second["audit_trail_id"]]["event_id"] == second["event_id"]


async def test_changes_without_a_user_are_recorded(story: Story) -> None:
    await story.pool.execute("INSERT INTO crm_leads (first_name, last_name, email) VALUES ('A', 'B', 'a@example.com')")
    await story.follow(AUDIT)
    (row,) = await story.rows("audit_trail")
    assert (row["user_id"], row["user_email"]) == (None, "")
    assert orjson.loads(row["metadata"])["role"] == await story.pool.fetchval("SELECT session_user")


async def test_secrets_and_other_tables_stay_out(story: Story) -> None:
    ada, *_ = await story.people()
    await story.happen("UPDATE crm_users SET password = 'secret' WHERE id = $1", ada)
    await story.happen("INSERT INTO notification_reads (notification_id, user_id) VALUES (gen_random_uuid(), $1)", ada)
    await story.follow(AUDIT)
    rows = await story.rows("audit_trail")
    assert {row["object_type"] for row in rows} == {"user"}
    assert not any("password" in row["new_values"] for row in rows)


async def test_numbers_keep_their_digits(story: Story) -> None:
    odd = '{"big": 123456789012345678901234567890, "tiny": 1e-40, "cents": 10.10, "huge": 1e400}'
    lead = await story.lead("Zoe")
    await story.happen("UPDATE crm_leads SET custom_fields = $1, estimated_value = 1250.50", odd)
    await story.follow(AUDIT)
    same = await story.pool.fetchval(
        """SELECT new_values->'custom_fields' = custom_fields AND new_values->>'estimated_value' = '1250.50'
           FROM audit_trail a JOIN crm_leads l ON l.id = $1 WHERE a.action = 'update'""",
        lead,
    )
    assert same
