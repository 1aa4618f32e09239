"""The agent `live`: tells open sessions what changed, on the record's channel, on `activity` and to those concerned.

It keeps no rows. A frame names the changed fields and carries no values, so that whoever may see the record may see
the frame; who that is follows from the row after the change. Those who could see the record before and no longer may
are told only that it is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from models import access, events
from models.access import Audience, Role, Viewer
from models.events import NewEvent
from models.jobs import SOURCE
from streams import changes, descriptions, frames, images
from streams.agent import Agent
from streams.changes import Change
from streams.envelope import Event
from streams.images import Images, Row
from streams.topics import ACTIVITIES, CHANGES

ENTITIES = frozenset({"lead", "contact", "opportunity", "task"})

#: Columns whose users are told of every change of the record.
CONCERNED = ("owner_id", "assigned_to_id", "created_by_id")

#: Followers of one record who are told.
MOST_FOLLOWERS = 100


@dataclass(frozen=True, kw_only=True)
class Public:
    """Who is there to be told: followers by record, and the role of everyone concerned."""

    followers: Mapping[str, Sequence[int]]
    viewers: Mapping[int, Viewer]

    def told(self, subject: str, rows: Iterable[Row | None], audience: Audience) -> list[int]:
        """Users concerned with a record who are in this audience, each once."""
        users = [row[column] for row in rows if row is not None for column in CONCERNED if row.get(column)]
        users += self.followers.get(subject, ())
        return [u for u in dict.fromkeys(users) if u in self.viewers and audience.admits(self.viewers[u])]


async def derive(connection: asyncpg.Connection, happened: Sequence[Event], quiet: Collection[int]) -> None:
    """Publish what these events mean to those who look."""
    loud = [event for event in happened if event.id not in quiet]
    made = changes.changes_of((e for e in loud if e.topic == CHANGES.name), ENTITIES)
    logged = changes.changes_of((e for e in loud if e.topic == ACTIVITIES.name), frozenset({"activity"}))
    if not made and not logged:
        return
    known = await images.load(connection, _wanted(made, logged))
    public = await _public(connection, made, logged, known)
    told = [f for change in made for f in _of_change(change, known, public)]
    told += [f for change in logged for f in _of_activity(change, known, public)]
    await events.write(connection, told)


def _wanted(made: Sequence[Change], logged: Sequence[Change]) -> Iterator[tuple[str, int]]:
    for change in (*made, *logged):
        if change.actor is not None:
            yield f"user:{change.actor}", change.event.id
    for change in logged:
        yield _about(change), change.event.id


def _about(change: Change) -> str:
    """The record an activity was logged on."""
    return f"{change.row['object_type']}:{change.row['object_id']}"


async def _public(
    connection: asyncpg.Connection, made: Sequence[Change], logged: Sequence[Change], known: Images
) -> Public:
    rows: dict[str, list[Row | None]] = {}
    for change in made:
        rows.setdefault(change.event.subject, []).extend((change.before, change.after))
    for change in logged:
        rows.setdefault(_about(change), []).append(known.at(_about(change), change.event.id))
    concerned = {row[c] for many in rows.values() for row in many if row is not None for c in CONCERNED if row.get(c)}
    subjects = [subject.partition(":") for subject in rows]
    found = await connection.fetch(
        """SELECT r.entity || ':' || r.id AS subject, u.id, u.role
           FROM unnest($1::text[], $2::text[]) AS r(entity, id)
           CROSS JOIN LATERAL (
               SELECT user_id FROM crm_follows WHERE object_type = r.entity AND object_id = r.id
               ORDER BY created_at, id LIMIT $3
           ) f JOIN crm_users u ON u.id = f.user_id AND u.is_active
           UNION ALL SELECT NULL, id, role FROM crm_users WHERE is_active AND id = ANY($4)""",
        [entity for entity, _, _ in subjects],
        [object_id for _, _, object_id in subjects],
        MOST_FOLLOWERS,
        list(concerned),
    )
    followers: dict[str, list[int]] = {}
    for row in found:
        if row["subject"] is not None:
            followers.setdefault(row["subject"], []).append(row["id"])
    viewers = {row["id"]: Viewer(id=row["id"], role=Role(row["role"])) for row in found}
    return Public(followers=followers, viewers=viewers)


def _of_change(change: Change, known: Images, public: Public) -> Iterator[NewEvent]:
    subject = change.event.subject
    audience = access.audience(change.entity, change.row)
    if change.event.context.get("source") == SOURCE:
        # A job tells of itself on `activity`; its single changes are told on the channels of their records only, where
        # somebody may have been looking before.
        if change.action != "created":
            yield frames.publication(subject, subject, frames.update(change), audience)
        yield from _lost(change, audience, public)
        return
    item = frames.activity(
        change.event,
        changes.actor_image(known, change.event),
        action=change.action,
        entity=change.entity,
        object_id=change.object_id,
        name=change.name,
        description=change.description,
        changed=change.changed,
    )
    yield frames.publication(frames.ACTIVITY, subject, {"type": "activity_created", "activity": item}, audience)
    yield from _tell(subject, [change.row], frames.update(change), audience, public)
    yield from _lost(change, audience, public)


def _lost(change: Change, audience: Audience, public: Public) -> Iterator[NewEvent]:
    """The notice for those who could see the record before and no longer may."""
    if change.before is not None and change.after is not None:
        lost = access.audience(change.entity, change.before).minus(audience)
        if not lost.nobody:
            yield from _tell(change.event.subject, [change.before], frames.gone(change), lost, public)


def _tell(
    subject: str, rows: Sequence[Row | None], frame: Mapping[str, object], audience: Audience, public: Public
) -> Iterator[NewEvent]:
    """A frame for the record's channel and for each user concerned with it."""
    yield frames.publication(subject, subject, frame, audience)
    for user in public.told(subject, rows, audience):
        yield frames.publication(frames.personal(user), subject, frame, audience)


def _of_activity(change: Change, known: Images, public: Public) -> Iterator[NewEvent]:
    row = change.row
    subject, entity = _about(change), row["object_type"]
    record = known.at(subject, change.event.id)
    name = descriptions.record_name(entity, record, row["object_id"])
    if row.get("is_public", True) and entity in ENTITIES and record is not None:
        audience = access.audience(entity, record)
    else:
        audience = access.audience("activity", row)
    item = frames.activity(
        change.event,
        changes.actor_image(known, change.event),
        action=row["action"] if change.action == "created" else change.action,
        entity=entity,
        object_id=row["object_id"],
        name=name,
        description=row.get("description") or "",
        changed=[],
    )
    yield frames.publication(frames.ACTIVITY, subject, {"type": "activity_created", "activity": item}, audience)
    yield from _tell(subject, [record], {"type": "activity", "activity": item}, audience, public)


LIVE = Agent(name="live", topics=(CHANGES, ACTIVITIES), derive=derive, publishes=True)
