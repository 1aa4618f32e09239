"""What agents publish: the frames of record changes, activities and notifications, and to which channel each goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.access import Audience
from models.events import NewEvent
from streams.agent import derived_id
from streams.changes import Change
from streams.descriptions import field_name, person_name
from streams.envelope import FRAME, Event
from streams.images import Row
from streams.topics import PUBLICATIONS

#: The channel of everything that happens.
ACTIVITY = "activity"

#: Where the records of a kind are found in the REST interface, and what they are called.
COLLECTIONS = {"lead": "leads", "contact": "contacts", "opportunity": "opportunities", "task": "tasks"}


def personal(user: int) -> str:
    """The channel only this user may read."""
    return f"#{user}"


def publication(channel: str, subject: str, frame: Mapping[str, Any], audience: Audience | None) -> NewEvent:
    """A frame for a channel; `audience` is who of its subscribers may see it, None all of them."""
    return NewEvent(
        topic=PUBLICATIONS.name,
        key=channel,
        type=FRAME,
        subject=subject,
        data=frame,
        audience=None if audience is None else audience.json(),
    )


def update(change: Change) -> dict[str, Any]:
    """`lead_update` and the like: which record, what was done, which fields, but no values."""
    return {
        "type": f"{change.entity}_update",
        change.entity: {
            "id": change.row["id"],
            "event_id": change.event.id,
            "action": change.action,
            "changed": [field_name(column) for column in change.changed],
            "object_repr": change.name,
            "actor": change.actor,
            "updated_at": change.event.time.isoformat(),
        },
    }


def gone(change: Change) -> dict[str, Any]:
    """`lead_gone` and the like: the record is out of sight, and that is all."""
    return {"type": f"{change.entity}_gone", change.entity: {"id": change.row["id"]}}


def activity(
    event: Event, actor: Row | None, *, action: str, entity: str, object_id: str, name: str, description: str,
    changed: list[str],
) -> dict[str, Any]:  # fmt: skip
    """What happened, as an item of the activity feed; `id` is that of the timeline item."""
    return {
        "id": str(derived_id("timeline", event.id)),
        "event_id": event.id,
        "actor": event.context.get("actor"),
        "actor_name": person_name(actor) or "System",
        "actor_email": (actor or {}).get("email", ""),
        "action": action,
        "content_type": entity,
        "object_id": object_id,
        "object_repr": name,
        "description": description,
        "changed": [field_name(column) for column in changed],
        "created_at": event.time.isoformat(),
    }


def job_activity(ended: Event, actor: Row | None, audience: Audience) -> NewEvent:
    """That a job has ended, as one item of the activity feed; `job` has the numbers."""
    data = ended.data or {}
    kind = data["kind"].replace("_", " ").capitalize()
    name = f"{kind} of {COLLECTIONS[data['entity']]}" if data.get("entity") in COLLECTIONS else kind
    item = activity(
        ended,
        actor,
        action=data["status"],
        entity="job",
        object_id=data["job"],
        name=name,
        description=f"{name} {data['status']}: {data['done']} of {data['total']} done, {data['failed']} failed",
        changed=[],
    )
    numbers = {key: data[key] for key in ("kind", "status", "total", "done", "failed")}
    frame = {"type": "activity_created", "activity": {**item, "job": numbers}}
    return publication(ACTIVITY, f"job:{data['job']}", frame, audience)
