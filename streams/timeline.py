"""The agent `timeline`: one item for each change of a record people work on, and for each activity logged on one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import asyncpg

from streams import changes, descriptions, exact, images
from streams.agent import LINGER, Agent, derived_id
from streams.changes import Change
from streams.envelope import Event
from streams.images import Images
from streams.topics import ACTIVITIES, CHANGES

ENTITIES = frozenset({"lead", "contact", "opportunity", "task"})

COLUMNS = (
    "id", "event_id", "type", "action", "description", "entity_type", "entity_id", "entity_name",
    "user_id", "user_name", "user_email", "metadata", "changes", "old_values", "new_values", "occurred_at",
)  # fmt: skip

Details = Mapping[str, Any]


async def derive(connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int]) -> None:
    """Write the timeline items of these events."""
    records = [e for e in events if e.topic == CHANGES.name]
    logged = changes.changes_of((e for e in events if e.topic == ACTIVITIES.name), frozenset({"activity"}))
    made = changes.changes_of(records, ENTITIES)
    known = await images.load(connection, _wanted(made, logged))
    rows = [_of_change(change, known) for change in made] + [_of_activity(change, known) for change in logged]
    if rows:
        await connection.copy_records_to_table("timeline", records=rows, columns=COLUMNS)


def _wanted(made: Sequence[Change], logged: Sequence[Change]) -> Iterator[tuple[str, int]]:
    for change in (*made, *logged):
        if change.actor is not None:
            yield f"user:{change.actor}", change.event.id
    for change in logged:
        yield f"{change.row['object_type']}:{change.row['object_id']}", change.event.id


def _of_change(change: Change, known: Images) -> tuple[Any, ...]:
    if change.entity == "opportunity" and "stage" in change.changed:
        return _item(change, known, _stage_change(change))
    if change.entity == "task" and change.action == "updated":
        return _item(change, known, _task_update(change))
    old, new = change.values()
    return _item(
        change,
        known,
        {
            "type": "audit",
            "action": change.action,
            "changes": change.differences(),
            "old_values": old,
            "new_values": new,
        },
    )


def _stage_change(change: Change) -> Details:
    before, after = change.before or {}, change.after or {}
    return {
        "type": "opportunity",
        "action": "stage_change",
        "description": f"Moved opportunity {change.name} from {before['stage']} to {after['stage']}",
        "metadata": {
            "stage": after["stage"],
            "amount": after["amount"],
            "close_date": after.get("actual_close_date") or after.get("expected_close_date"),
        },
        "changes": change.differences(),
    }


def _task_update(change: Change) -> Details:
    return {
        "type": "task",
        "action": "task_update",
        "metadata": {name: change.row.get(name) for name in ("status", "priority", "due_date")},
        "changes": change.differences(),
    }


def _of_activity(change: Change, known: Images) -> tuple[Any, ...]:
    row = change.row
    entity, object_id = row["object_type"], row["object_id"]
    name = descriptions.record_name(entity, known.at(f"{entity}:{object_id}", change.event.id), object_id)
    return _item(
        change,
        known,
        {
            "type": "activity",
            "action": row["action"] if change.action == "created" else change.action,
            "description": row.get("description") or f"{row['action'].replace('_', ' ').capitalize()} {entity} {name}",
            "metadata": row.get("metadata") or {},
            "entity": (entity, object_id, name),
        },
    )


def _item(change: Change, known: Images, details: Details) -> tuple[Any, ...]:
    event = change.event
    user = changes.actor_image(known, event)
    entity, object_id, name = details.get("entity", (change.entity, change.object_id, change.name))
    return (
        derived_id("timeline", event.id),
        event.id,
        details["type"],
        details["action"],
        details.get("description", change.description),
        entity,
        object_id,
        name,
        change.actor,
        descriptions.person_name(user),
        (user or {}).get("email", ""),
        exact.dumps(details.get("metadata", {})),
        exact.dumps(details.get("changes", {})),
        exact.dumps(details.get("old_values", {})),
        exact.dumps(details.get("new_values", {})),
        event.time,
    )


TIMELINE = Agent(name="timeline", topics=(CHANGES, ACTIVITIES), derive=derive, tables=("timeline",), linger=LINGER)
