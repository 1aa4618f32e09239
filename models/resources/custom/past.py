"""What of custom fields a viewer sees in history: of records' fields those that are there for the viewer now.

Values under a name that no field has any more are for an admin alone. All of it is SQL, so that pages are counted right
and numbers stay as exact as they stand there.
"""

from __future__ import annotations

from models.access import Role, Viewer
from models.resources.content_types import CUSTOMISED
from models.resources.custom.changes import COLUMN
from models.resources.custom.definitions import Definitions

#: Before a custom field's name in the history of fields, as in filters.
PREFIX = f"{COLUMN}__"


def seen_changes(definitions: Definitions, viewer: Viewer, type_column: str, column: str) -> str:
    """A column of changes `{field: {old, new}}`, without what the viewer does not see."""
    return _cut("hub_seen_changes", definitions, viewer, type_column, column)


def seen_values(definitions: Definitions, viewer: Viewer, type_column: str, column: str) -> str:
    """A column of records' values, without what the viewer does not see."""
    return _cut("hub_seen_values", definitions, viewer, type_column, column)


def seen_names(definitions: Definitions, viewer: Viewer, type_column: str, name_column: str) -> str:
    """The condition that keeps the history of fields the viewer sees."""
    if viewer.role is Role.ADMIN:
        return "TRUE"
    cases = " ".join(
        f"WHEN '{entity}' THEN {name_column} = ANY ({_array(definitions, viewer, entity, PREFIX)})"
        for entity in CUSTOMISED.values()
    )
    return f"(NOT starts_with({name_column}, '{COLUMN}') OR CASE {type_column} {cases} ELSE FALSE END)"


def _cut(function: str, definitions: Definitions, viewer: Viewer, type_column: str, column: str) -> str:
    if viewer.role is Role.ADMIN:
        return column
    cases = " ".join(
        f"WHEN '{entity}' THEN {function}({column}, {_array(definitions, viewer, entity)})"
        for entity in CUSTOMISED.values()
    )
    return f"CASE {type_column} {cases} ELSE {column} END"


def _array(definitions: Definitions, viewer: Viewer, entity: str, prefix: str = "") -> str:
    """Names as SQL; they are identifiers, so they need no quoting."""
    names = ", ".join(f"'{prefix}{name}'" for name in definitions.seen(entity, viewer.role))
    return f"ARRAY[{names}]::text[]"
