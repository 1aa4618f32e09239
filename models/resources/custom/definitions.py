"""All custom fields there are, as of one version: what a record's values may be and what of them a viewer sees.

Whoever writes values does so by definitions of a version, and lets the statement that writes check that it is still
the one (`Changes`); if not, it reads the definitions again and starts over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import orjson

from models.access import Role, Viewer
from models.custom_fields import FieldType
from models.resources.custom.changes import COLUMN, Changes
from models.resources.custom.definition import REQUIRED, Definition
from models.resources.kinds import Object
from models.resources.mistakes import Invalid, Mistake

FIXED = "This field is read-only."

#: Version and definitions in one statement, so that they belong together; decimals as text, so that they stay exact.
SELECT = r"""
SELECT (SELECT version FROM custom_fields_version) AS version,
       coalesce(jsonb_agg(
           to_jsonb(f) || jsonb_build_object(
               'min_value', f.min_value::text, 'max_value', f.max_value::text, 'indexes', coalesce(has.indexes, '[]'))
           ORDER BY f."order", f.name), '[]') AS fields
FROM crm_custom_fields f LEFT JOIN (
    SELECT split_part(c.relname, '_', 3) AS field, jsonb_agg(c.relname) AS indexes
    FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.relname ~ '^crm_custom_[0-9]+_' AND i.indisvalid
    GROUP BY 1
) AS has ON has.field = f.id::text
"""


class Reads(Protocol):
    """What can read a row: a pool or a connection of asyncpg."""

    async def fetchrow(self, query: str, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class Definitions:
    """The custom fields of every kind of record, in their order."""

    version: int
    every: tuple[Definition, ...]

    @cached_property
    def _seen(self) -> dict[tuple[str, Role], dict[str, Definition]]:
        return {}

    def seen(self, entity: str, role: Role) -> Mapping[str, Definition]:
        """The active fields of a kind of record that are there for a role, by name."""
        if (found := self._seen.get((entity, role))) is None:
            fields = (f for f in self.every if f.entity == entity and f.active and f.seen_by(role))
            found = self._seen[entity, role] = {field.name: field for field in fields}
        return found

    def show(self, entity: str, stored: Mapping[str, Any], viewer: Viewer) -> dict[str, Any]:
        """A record's values as the viewer may see them; null where there is none."""
        return {name: stored.get(name) for name in self.seen(entity, viewer.role)}

    def new(self, entity: str, given: object, viewer: Viewer) -> Changes:
        """The values of a new record, defaults among them. Raises Invalid."""
        values = self._read(entity, given, viewer, {})
        wrong: dict[str, list[str]] = {}
        for field in self.every:
            if field.entity != entity or not field.active or field.name in values:
                continue
            if field.default is not None:
                values[field.name] = field.default
            elif field.required and field.set_by(viewer.role):
                wrong[key(field.name)] = [REQUIRED]
        if wrong:
            raise Invalid(wrong)
        return self._changes(entity, {name: value for name, value in values.items() if value is not None})

    def changed(
        self, entity: str, given: object, viewer: Viewer, stored: Mapping[str, Any], *, partial: bool
    ) -> Changes:
        """What changes of a record's values; `partial` lets required ones be missing. Raises Invalid."""
        values = self._read(entity, given, viewer, stored)
        needed = [] if partial else [f for f in self.seen(entity, viewer.role).values() if f.required]
        if wrong := {key(f.name): [REQUIRED] for f in needed if f.set_by(viewer.role) and f.name not in values}:
            raise Invalid(wrong)
        return self._changes(entity, values)

    def _changes(self, entity: str, values: Mapping[str, Any]) -> Changes:
        files = {field.name for field in self.every if field.entity == entity and field.type is FieldType.FILE}
        return Changes(
            version=self.version,
            values=values,
            files={name: value for name, value in values.items() if name in files and value is not None},
        )

    def _read(self, entity: str, given: object, viewer: Viewer, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Values by name; those that may not be set must be what they are, and are left out."""
        seen = self.seen(entity, viewer.role)
        values: dict[str, Any] = {}
        wrong: dict[str, list[str]] = {}
        try:
            named = Object().read(given)
        except Mistake as mistake:
            raise Invalid({COLUMN: [str(mistake)]}) from None
        for name, value in named.items():
            try:
                if (field := seen.get(name)) is None:
                    raise Mistake(f"Unknown field. Fields are: {', '.join(seen) or 'none'}.")
                if field.set_by(viewer.role):
                    values[name] = field.read(value)
                elif value != stored.get(name):
                    raise Mistake(FIXED)
            except Mistake as mistake:
                wrong[key(name)] = [str(mistake)]
        if wrong:
            raise Invalid(wrong)
        return values


def key(name: str) -> str:
    """What a message about a field goes by."""
    return f"{COLUMN}.{name}"


async def load(source: Reads) -> Definitions:
    """The definitions as they are now."""
    row = await source.fetchrow(SELECT)
    return Definitions(row["version"], tuple(Definition.of(one) for one in orjson.loads(row["fields"])))
