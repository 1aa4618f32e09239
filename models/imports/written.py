"""How a record is written as cells: one SQL expression for each field, which gives text that an import reads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.resources import kinds
from models.resources.resource import Field, Reference
from models.resources.wanted import Wanted

#: What begins like a formula gets an apostrophe, and what begins like one behind apostrophes gets one more.
ESCAPED = "CASE WHEN {0} ~ '^''*[=+@\\t\\r-]' THEN '''' || {0} ELSE {0} END"

_MOMENT = """replace(to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')"""
_OBJECT = "nullif({0}::text, '{{}}')"
#: Words with commas between, or JSON where that could not be told apart.
_TAGS = """CASE WHEN jsonb_typeof({0}) <> 'array' THEN {0}::text WHEN {0} = '[]' THEN NULL
    WHEN {0} @? '$[*] ? (@ == "" || @ like_regex "^[[]|,|[ ][ ]*$|^ " || @.type() <> "string")' THEN {0}::text
    ELSE (SELECT string_agg(tag, ', ' ORDER BY at)
          FROM jsonb_array_elements_text({0}) WITH ORDINALITY AS t(tag, at)) END"""
_PLAIN = "{0}::text"

_WRITERS: Mapping[type, str] = {
    kinds.Moment: _MOMENT,
    kinds.Day: "to_char({0}, 'YYYY-MM-DD')",
    kinds.Object: _OBJECT,
    kinds.Tags: _TAGS,
    kinds.Integer: _PLAIN,
    kinds.OneOf: _PLAIN,
    kinds.Decimal: _PLAIN,
}
#: Kinds whose text never begins like a formula unless it is a number.
_SAFE = (kinds.Moment, kinds.Day, kinds.Integer, kinds.OneOf, kinds.Decimal, kinds.Object)
NUMBERS = (kinds.Integer, kinds.OneOf, kinds.Decimal)

#: What is exported unless other fields are named, by path, as the original had it.
USUAL: Mapping[str, Sequence[str]] = {
    "leads": (
        "id", "first_name", "last_name", "email", "phone", "company_name", "job_title", "lead_source", "status",
        "priority", "lead_score", "created_at", "updated_at",
    ),
    "contacts": (
        "id", "first_name", "last_name", "email", "phone", "mobile", "company_name", "job_title", "contact_type",
        "status", "created_at", "updated_at",
    ),
    "opportunities": (
        "id", "name", "company_name", "amount", "stage", "probability", "expected_close_date", "created_at",
    ),
    "tasks": ("id", "title", "task_type", "priority", "status", "due_date", "created_at", "updated_at"),
}  # fmt: skip


def expression(field: Field | Reference, *, escape: bool) -> str:
    """The text of a field's cell, in SQL; null where it is blank."""
    kind = type(field.kind)
    text = _WRITERS.get(kind, "{0}").format(f'"{field.column}"')
    if not escape or kind in _SAFE:
        return text
    return ESCAPED.format(f"({text})") if kind is kinds.Tags else ESCAPED.format(text)


def select(wanted: Wanted, names: Sequence[str], *, escape: bool) -> tuple[str, Sequence[Any]]:
    """The statement whose rows are the cells of the records wanted, in their order, and its values."""
    resource, conditions = wanted.resource, wanted.conditions
    columns = ", ".join(f'{expression(resource.stored[name], escape=escape)} AS "{name}"' for name in names)
    terms = ", ".join(f"{key.sql}{' DESC' * key.descending}{' NULLS LAST' * key.null}" for key in wanted.order)
    table = f'"{resource.table}"'
    # Ordered inside, so that an order is by the columns and not by the texts that bear their names.
    inner = f"SELECT {table}.* FROM {table} WHERE {conditions.sql} ORDER BY {terms}"
    return f"SELECT {columns} FROM ({inner}) AS {table}", conditions.values
