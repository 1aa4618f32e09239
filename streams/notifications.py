"""The agent `notifications`: tells users what was assigned to them by somebody else.

What a job assigns is told once to each user, with the number, when the job has ended: the event that says so has the
numbers, so that a rebuild gives the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from models import access, events
from models.access import Action, Role, Viewer
from models.events import NewEvent
from models.jobs import ENDED, SOURCE
from models.notifications import NotificationType
from streams import changes, descriptions, frames, images
from streams.agent import LINGER, Agent, derived_id
from streams.changes import Change
from streams.envelope import Event
from streams.images import Images
from streams.topics import CHANGES, COMMANDS

ENTITIES = frozenset({"lead", "contact", "opportunity", "task"})

LONGEST_TITLE = 255

COLUMNS = (
    "id", "event_id", "user_id", "notification_type", "title", "message",
    "object_type", "object_id", "actor_id", "action_url", "created_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """That a record is now somebody's, by somebody else's doing."""

    change: Change
    user: int

    @property
    def event(self) -> Event:
        return self.change.event

    @property
    def about(self) -> tuple[str, str]:
        """Type and id of what it is about."""
        return self.change.entity, self.change.object_id

    @property
    def url(self) -> str:
        """Where the record is found."""
        return f"/api/v1/{frames.COLLECTIONS[self.change.entity]}/{self.change.object_id}/"

    def words(self, actor: str) -> tuple[str, str]:
        """Title and message."""
        entity, name = self.change.entity, self.change.name
        return (
            f"{entity.capitalize()} assigned to you: {name}"[:LONGEST_TITLE],
            f"{actor} assigned the {entity} {name} to you.",
        )

    def seen(self, viewer: Viewer) -> bool:
        """Whether its user may read the record."""
        return access.audience(self.change.entity, self.change.row).admits(viewer)


@dataclass(frozen=True, kw_only=True)
class Handover:
    """That a job gave somebody so many records of a kind."""

    event: Event
    user: int
    entity: str
    count: int

    @property
    def about(self) -> tuple[str, str]:
        return "job", self.event.subject.partition(":")[2]

    @property
    def url(self) -> str:
        """Where the records are found."""
        return f"/api/v1/{frames.COLLECTIONS[self.entity]}/?assigned_to={self.user}&ordering=-updated_at"

    def words(self, actor: str) -> tuple[str, str]:
        what = f"1 {self.entity}" if self.count == 1 else f"{self.count:,} {frames.COLLECTIONS[self.entity]}"
        return f"{what} assigned to you", f"{actor} assigned {what} to you."

    def seen(self, viewer: Viewer) -> bool:
        """Whether its user may read what is assigned to them."""
        rule = {"assigned_to_id": viewer.id, "owner_id": None, "created_by_id": None}
        return access.may(viewer, Action.READ, self.entity, rule)


Given = Assignment | Handover


async def derive(connection: asyncpg.Connection, happened: Sequence[Event], quiet: Collection[int]) -> None:
    """Write the notifications of these events and publish the loud ones."""
    given: list[Given] = [*_assignments(happened), *_handovers(happened)]
    if not given:
        return
    known = await images.load(connection, _wanted(given))
    allowed = [one for one in given if _may_see(one, known)]
    await connection.copy_records_to_table(
        "notifications", records=[_row(one, known) for one in allowed], columns=COLUMNS
    )
    await events.write(connection, [_frame(one, known) for one in allowed if one.event.id not in quiet])


def _assignments(happened: Sequence[Event]) -> Iterator[Assignment]:
    single = (e for e in happened if e.topic == CHANGES.name and e.context.get("source") != SOURCE)
    for change in changes.changes_of(single, ENTITIES):
        after = change.after or {}
        user = after.get("assigned_to_id")
        new = change.action == "created" or "assigned_to_id" in change.changed
        if new and user is not None and user != change.actor:
            yield Assignment(change=change, user=user)


def _handovers(happened: Sequence[Event]) -> Iterator[Handover]:
    for event in happened:
        if event.type == ENDED:
            data = event.data or {}
            for user, count in data["assigned"].items():
                yield Handover(event=event, user=int(user), entity=data["entity"], count=count)


def _wanted(given: Sequence[Given]) -> Iterator[tuple[str, int]]:
    for one in given:
        yield f"user:{one.user}", one.event.id
        if (actor := one.event.context.get("actor")) is not None:
            yield f"user:{actor}", one.event.id


def _may_see(one: Given, known: Images) -> bool:
    """Whether the rules for the user's role at that time let them read what was assigned to them."""
    user = known.at(f"user:{one.user}", one.event.id)
    return user is not None and one.seen(Viewer(id=one.user, role=Role(user["role"])))


def _id(one: Given) -> UUID:
    """The notification's id; a rebuild makes the same, so that what was read stays read."""
    return derived_id("notifications", one.event.id, one.user, NotificationType.ASSIGNMENT)


def _words(one: Given, known: Images) -> tuple[str, str]:
    return one.words(descriptions.person_name(changes.actor_image(known, one.event)) or "System")


def _row(one: Given, known: Images) -> tuple[Any, ...]:
    title, message = _words(one, known)
    return (
        _id(one),
        one.event.id,
        one.user,
        NotificationType.ASSIGNMENT.value,
        title,
        message,
        *one.about,
        one.event.context.get("actor"),
        one.url,
        one.event.time,
    )


def _frame(one: Given, known: Images) -> NewEvent:
    title, message = _words(one, known)
    object_type, object_id = one.about
    notification = {
        "id": str(_id(one)),
        "title": title,
        "message": message,
        "notification_type": NotificationType.ASSIGNMENT.value,
        "url": one.url,
        "object_type": object_type,
        "object_id": object_id,
        "actor": one.event.context.get("actor"),
        "timestamp": one.event.time.isoformat(),
    }
    frame = {"type": "notification", "notification": notification}
    return frames.publication(frames.personal(one.user), one.event.subject, frame, None)


NOTIFICATIONS = Agent(
    name="notifications",
    topics=(CHANGES, COMMANDS),
    derive=derive,
    tables=("notifications",),
    publishes=True,
    linger=LINGER,
)
