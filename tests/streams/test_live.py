"""Whoever may see a record is told of its changes, once on each channel; nobody else learns anything."""

from __future__ import annotations

from typing import Any

import orjson

from models.access import Audience, Role, Viewer
from models.database import Context, change
from streams.live import LIVE
from tests.streams.story import Story


class Frames:
    """What was published, by channel."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def on(self, channel: str) -> list[dict[str, Any]]:
        """The frames of a channel, in order."""
        return [orjson.loads(row["data"]) for row in self.rows if row["key"] == channel]

    def audiences(self, channel: str) -> list[Audience]:
        """Who may see them."""
        return [Audience.parse(row["audience"]) for row in self.rows if row["key"] == channel]


async def _published(story: Story, since: int = 0) -> Frames:
    return Frames(
        await story.pool.fetch(
            "SELECT id, key, data, audience FROM events WHERE topic = 'hub.publications' AND id > $1 ORDER BY id", since
        )
    )


async def _ready(story: Story) -> list[int]:
    await story.runtime(LIVE)
    return await story.people()


async def test_one_activity_and_one_update_for_each_change(story: Story) -> None:
    ada, *_ = await _ready(story)
    lead = await story.lead("Zoe", actor=ada)
    await story.happen("UPDATE crm_leads SET status = 'lost', lead_score = 3", actor=ada)
    await story.happen("DELETE FROM crm_leads", actor=ada)
    await story.follow(LIVE)

    frames = await _published(story)
    activities = [frame["activity"] for frame in frames.on("activity")]
    assert [a["action"] for a in activities] == ["created", "updated", "deleted"]
    assert activities[1]["changed"] == ["status", "lead_score"]
    assert activities[1]["actor_name"] == "Ada Lovelace"
    assert (activities[1]["content_type"], activities[1]["object_id"]) == ("lead", str(lead))
    updates = [frame["lead"] for frame in frames.on(f"lead:{lead}")]
    assert [u["action"] for u in updates] == ["created", "updated", "deleted"]
    assert {u["id"] for u in updates} == {lead}
    assert "lost" not in str(updates)


async def test_owner_assignee_and_followers_are_told_once(story: Story) -> None:
    ada, bob, cyd, dot = await _ready(story)
    lead = await story.lead("Zoe", actor=ada, owner=bob)
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", bob, actor=ada)
    for user in (bob, cyd, dot):
        await story.happen(
            "INSERT INTO crm_follows (user_id, object_type, object_id) VALUES ($1, 'lead', $2)", user, str(lead)
        )
    await story.follow(LIVE)
    since = await story.pool.fetchval("SELECT max(id) FROM events")
    await story.happen("UPDATE crm_leads SET lead_score = 9", actor=ada)
    await story.follow(LIVE)

    frames = await _published(story, since)
    assert [frame["type"] for frame in frames.on(f"#{bob}")] == ["lead_update"]
    assert [frame["type"] for frame in frames.on(f"#{dot}")] == ["lead_update"]
    assert frames.on(f"#{cyd}") == []
    assert frames.on(f"#{ada}") == []


async def test_who_loses_sight_is_told_no_more_than_that(story: Story) -> None:
    ada, bob, cyd, dot = await _ready(story)
    lead = await story.lead("Zoe", actor=ada)
    await story.follow(LIVE)
    since = await story.pool.fetchval("SELECT max(id) FROM events")
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", bob, actor=ada)
    await story.follow(LIVE)
    frames = await _published(story, since)
    update, gone = frames.on(f"lead:{lead}")
    assert (update["type"], gone) == ("lead_update", {"type": "lead_gone", "lead": {"id": lead}})
    may_see, lost = frames.audiences(f"lead:{lead}")
    for user, role, sees in (
        (ada, Role.ADMIN, True),
        (bob, Role.SALES_REP, True),
        (cyd, Role.SALES_REP, False),
        (dot, Role.MARKETING, True),
    ):
        viewer = Viewer(id=user, role=role)
        assert (may_see.admits(viewer), lost.admits(viewer)) == (sees, not sees)

    since = frames.rows[-1]["id"]
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", cyd, actor=ada)
    await story.follow(LIVE)
    frames = await _published(story, since)
    assert [frame["type"] for frame in frames.on(f"#{bob}")] == ["lead_gone"]
    assert [frame["type"] for frame in frames.on(f"#{cyd}")] == ["lead_update"]
    (activity,) = frames.audiences("activity")
    assert not activity.admits(Viewer(id=bob, role=Role.SALES_REP))


async def test_an_activity_is_for_those_who_see_its_record(story: Story) -> None:
    ada, bob, cyd, _ = await _ready(story)
    lead = await story.lead("Zoe", actor=ada)
    await story.happen("UPDATE crm_leads SET assigned_to_id = $1", bob, actor=ada)
    await story.follow(LIVE)
    since = await story.pool.fetchval("SELECT max(id) FROM events")
    note = (
        "INSERT INTO crm_activities (actor_id, action, object_type, object_id, is_public) VALUES ($1, $2, $3, $4, $5)"
    )
    await story.happen(note, ada, "commented", "lead", str(lead), True, actor=ada)
    await story.happen(note, ada, "shared", "lead", str(lead), False, actor=ada)
    await story.follow(LIVE)
    frames = await _published(story, since)
    assert [frame["activity"]["action"] for frame in frames.on("activity")] == ["commented", "shared"]
    public, private = frames.audiences("activity")
    assert public.admits(Viewer(id=bob, role=Role.SALES_REP))
    assert not public.admits(Viewer(id=cyd, role=Role.SALES_REP))
    assert not private.admits(Viewer(id=bob, role=Role.SALES_REP))
    assert [frame["activity"]["action"] for frame in frames.on(f"#{bob}")] == ["commented"]


async def test_users_and_settings_are_not_published(story: Story) -> None:
    await _ready(story)
    await story.follow(LIVE)
    assert (await _published(story)).rows == []


async def test_what_a_job_changes_is_told_where_somebody_may_look_only(story: Story) -> None:
    ada, bob, *_ = await _ready(story)
    lead = await story.lead("Zoe", actor=ada)
    await story.follow(LIVE)
    last = (await _published(story)).rows[-1]["id"]
    async with change(story.pool, Context(actor=ada, source="job")) as connection:
        await connection.execute("INSERT INTO crm_leads (first_name, last_name, email) VALUES ('N', 'N', 'n@e.org')")
        await connection.execute("UPDATE crm_leads SET assigned_to_id = $1 WHERE id = $2", bob, lead)
    await story.follow(LIVE)

    frames = await _published(story, since=last)
    assert [row["key"] for row in frames.rows] == [f"lead:{lead}", f"lead:{lead}"]
    assert [frame["type"] for frame in frames.on(f"lead:{lead}")] == ["lead_update", "lead_gone"]
