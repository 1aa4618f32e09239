"""The agent `notifications`: tells users what was assigned to them by somebody else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from models import access, events
from models.access import Role, Viewer
from models.events import NewEvent
from models.notifications import NotificationType
from streams import changes, descriptions, frames, images
from streams.agent import LINGER, Agent, derived_id
from streams.changes import Change
from streams.envelope import Event
from streams.images import Images
from streams.topics import CHANGES

ENTITIES = frozenset({"lead", "contact", "opportunity", "task"})

#: Where a record is found in the REST interface.
COLLECTIONS = {"lead": "leads", "contact": "contacts", "opportunity": "opportunities", "task": "tasks"}

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
    def id(self) -> UUID:
        """The notification's id; a rebuild makes the same, so that what was read stays read."""
        return derived_id("notifications", self.change.event.id, self.user, NotificationType.ASSIGNMENT)

    def words(self, known: Images) -> tuple[str, str]:
        """Title and message."""
        change = self.change
        actor = descriptions.person_name(changes.actor_image(known, change.event)) or "System"
        return (
            f"{change.entity.capitalize()} assigned to you: {change.name}"[:LONGEST_TITLE],
            f"{actor} assigned the {change.entity} {change.name} to you.",
        )

    @property
    def url(self) -> str:
        """Where the record is found."""
        return f"/api/v1/{COLLECTIONS[self.change.entity]}/{self.change.object_id}/"


async def derive(connection: asyncpg.Connection, happened: Sequence[Event], quiet: Collection[int]) -> None:
    """Write the notifications of these events and publish the loud ones."""
    assigned = list(_assignments(changes.changes_of(happened, ENTITIES)))
    if not assigned:
        return
    known = await images.load(connection, _wanted(assigned))
    allowed = [a for a in assigned if _may_see(a, known)]
    await connection.copy_records_to_table("notifications", records=[_row(a, known) for a in allowed], columns=COLUMNS)
    await events.write(connection, [_frame(a, known) for a in allowed if a.change.event.id not in quiet])


def _assignments(made: Sequence[Change]) -> Iterator[Assignment]:
    for change in made:
        after = change.after or {}
        user = after.get("assigned_to_id")
        new = change.action == "created" or "assigned_to_id" in change.changed
        if new and user is not None and user != change.actor:
            yield Assignment(change=change, user=user)


def _wanted(assigned: Sequence[Assignment]) -> Iterator[tuple[str, int]]:
    for assignment in assigned:
        event = assignment.change.event
        yield f"user:{assignment.user}", event.id
        if assignment.change.actor is not None:
            yield f"user:{assignment.change.actor}", event.id


def _may_see(assignment: Assignment, known: Images) -> bool:
    """Whether the rules for the user's role at that time let them read what was assigned to them."""
    change = assignment.change
    user = known.at(f"user:{assignment.user}", change.event.id)
    if user is None:
        return False
    viewer = Viewer(id=assignment.user, role=Role(user["role"]))
    return access.audience(change.entity, change.row).admits(viewer)


def _row(assignment: Assignment, known: Images) -> tuple[Any, ...]:
    change = assignment.change
    title, message = assignment.words(known)
    return (
        assignment.id,
        change.event.id,
        assignment.user,
        NotificationType.ASSIGNMENT.value,
        title,
        message,
        change.entity,
        change.object_id,
        change.actor,
        assignment.url,
        change.event.time,
    )


def _frame(assignment: Assignment, known: Images) -> NewEvent:
    change = assignment.change
    title, message = assignment.words(known)
    notification = {
        "id": str(assignment.id),
        "title": title,
        "message": message,
        "notification_type": NotificationType.ASSIGNMENT.value,
        "url": assignment.url,
        "object_type": change.entity,
        "object_id": change.object_id,
        "actor": change.actor,
        "timestamp": change.event.time.isoformat(),
    }
    frame = {"type": "notification", "notification": notification}
    return frames.publication(frames.personal(assignment.user), change.event.subject, frame, None)


NOTIFICATIONS = Agent(
    name="notifications",
    topics=(CHANGES,),
    derive=derive,
    tables=("notifications",),
    publishes=True,
    linger=LINGER,
)
