"""The agent `audit`: one record in the audit trail for each change, one row of field history for each changed field."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import asyncpg

from streams import changes, descriptions, exact, images
from streams.agent import LINGER, Agent, derived_id
from streams.changes import Change
from streams.envelope import Event
from streams.images import Images
from streams.topics import CHANGES

ENTITIES = frozenset(
    {
        "lead",
        "contact",
        "opportunity",
        "task",
        "user",
        "user_profile",
        "opportunity_stage",
        "follow",
        "custom_field",
        "custom_field_group",
        "custom_field_membership",
        "file",
    }
)

ACTIONS = {"created": "create", "updated": "update", "deleted": "delete"}

TRAIL = (
    "id", "event_id", "user_id", "user_email", "object_type", "object_id", "object_repr", "action", "description",
    "changes", "old_values", "new_values", "ip_address", "user_agent", "request_id", "metadata", "timestamp",
)  # fmt: skip

HISTORY = (
    "id", "event_id", "audit_trail_id", "object_type", "object_id", "field_name", "field_label",
    "old_value", "new_value", "old_value_display", "new_value_display", "changed_by_id", "changed_at",
)  # fmt: skip


async def derive(connection: asyncpg.Connection, events: Sequence[Event], quiet: Collection[int]) -> None:
    """Write the audit records and field history of these events."""
    made = changes.changes_of(events, ENTITIES)
    if not made:
        return
    known = await images.load(connection, _wanted(made))
    await connection.copy_records_to_table(
        "audit_trail", records=[_record(change, known) for change in made], columns=TRAIL
    )
    await connection.copy_records_to_table(
        "field_history", records=[row for change in made for row in _fields(change, known)], columns=HISTORY
    )


def _wanted(made: Sequence[Change]) -> Iterator[tuple[str, int]]:
    for change in made:
        event_id = change.event.id
        if change.actor is not None:
            yield f"user:{change.actor}", event_id
        for row in (change.before, change.after):
            if row is not None and change.changed:
                yield from descriptions.references(row, change.changed, event_id)


def _record(change: Change, known: Images) -> tuple[Any, ...]:
    event, context = change.event, change.event.context
    user = changes.actor_image(known, event) or {}
    old, new = change.values()
    return (
        derived_id("audit_trail", event.id),
        event.id,
        change.actor,
        user.get("email", ""),
        change.entity,
        change.object_id,
        change.name,
        ACTIONS[change.action],
        change.description,
        exact.dumps(change.differences()),
        exact.dumps(old),
        exact.dumps(new),
        context.get("ip"),
        context.get("user_agent") or "",
        context.get("request_id"),
        exact.dumps({"source": context.get("source"), "role": context.get("role"), "schema": event.schema}),
        event.time,
    )


def _fields(change: Change, known: Images) -> Iterator[tuple[Any, ...]]:
    event = change.event
    trail = derived_id("audit_trail", event.id)
    for column, old, new in change.fields():
        yield (
            derived_id("field_history", event.id, column),
            event.id,
            trail,
            change.entity,
            change.object_id,
            descriptions.field_name(column),
            descriptions.label(column),
            descriptions.value_text(old),
            descriptions.value_text(new),
            descriptions.value_display(column, old, known, event.id),
            descriptions.value_display(column, new, known, event.id),
            change.actor,
            event.time,
        )


AUDIT = Agent(name="audit", topics=(CHANGES,), derive=derive, tables=("field_history", "audit_trail"), linger=LINGER)
