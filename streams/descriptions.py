"""How a change reads to a person: names of records, labels of fields, values, one-line descriptions."""

from __future__ import annotations

import re
from typing import Any

from streams import exact
from streams.images import Images, Row

#: Columns that refer to another record, and to what.
REFERENCES = {
    "assigned_to_id": "user",
    "owner_id": "user",
    "created_by_id": "user",
    "user_id": "user",
    "actor_id": "user",
    "contact_id": "contact",
    "lead_id": "lead",
    "opportunity_id": "opportunity",
}

#: Columns that change with every update and say nothing.
BOOKKEEPING = frozenset({"updated_at"})

#: The column of custom fields, of which not everybody who sees a record sees all: no description names it.
CUSTOM = "custom_fields"

#: A custom field's name.
NAME = re.compile("[a-z][a-z0-9_]{0,99}")

LONGEST_NAME = 500


def field_name(column: str) -> str:
    """A column as the REST interface names it: `assigned_to` for `assigned_to_id`."""
    return column.removesuffix("_id") if column in REFERENCES else column


def label(column: str) -> str:
    """A column as a person reads it: `Assigned to`."""
    return field_name(column).removeprefix(f"{CUSTOM}__").replace("_", " ").capitalize()


def record_name(entity: str, row: Row | None, object_id: str) -> str:
    """What a record is called."""
    return _record_name(entity, row or {}, object_id)[:LONGEST_NAME]


def _record_name(entity: str, row: Row, object_id: str) -> str:
    match entity:
        case "user":
            return person_name(row) or f"user {object_id}"
        case "lead" | "contact":
            name = f"{row.get('first_name') or ''} {row.get('last_name') or ''}".strip()
        case "opportunity" | "opportunity_stage":
            name = str(row.get("name") or "")
        case "task":
            name = str(row.get("title") or "")
        case "custom_field":
            name = str(row.get("label") or "")
        case "custom_field_group" | "file":
            name = str(row.get("name") or "")
        case "custom_field_membership":
            name = f"field {row.get('custom_field_id')} in group {row.get('group_id')}"
        case "follow":
            name = f"{row.get('object_type')} {row.get('object_id')}"
        case _:
            name = ""
    return name or f"{entity.replace('_', ' ')} {object_id}"


def person_name(row: Row | None) -> str:
    """First and last name of a user, or the username where there is neither; empty for nobody."""
    if row is None:
        return ""
    name = f"{row.get('first_name') or ''} {row.get('last_name') or ''}".strip()
    return name or str(row.get("username") or "")


def value_text(value: Any) -> str | None:
    """A value as text; None for none."""
    if value is None or isinstance(value, str):
        return value
    return exact.dumps(value)


def value_display(column: str, value: Any, images: Images, event_id: int) -> str | None:
    """A value as a person reads it: names for references, words for flags."""
    if value is None:
        return None
    if entity := REFERENCES.get(column):
        return record_name(entity, images.at(f"{entity}:{value}", event_id), str(value))
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return value_text(value)


def references(row: Row, columns: list[str], event_id: int) -> list[tuple[str, int]]:
    """What has to be loaded so that these columns of a row can be displayed: (subject, event id)."""
    return [
        (f"{REFERENCES[column]}:{row[column]}", event_id)
        for column in columns
        if column in REFERENCES and row.get(column) is not None
    ]


def describe(action: str, entity: str, name: str, changed: list[str]) -> str:
    """One line: `Created lead Ada Lovelace`, `Changed status and priority of lead Ada Lovelace`."""
    kind = entity.replace("_", " ")
    fields = [label(column).lower() for column in changed if column != CUSTOM]
    if action != "updated" or not fields:
        return f"{action.capitalize()} {kind} {name}"
    listed = " and ".join([", ".join(fields[:-1]), fields[-1]] if len(fields) > 1 else fields)
    return f"Changed {listed} of {kind} {name}"
