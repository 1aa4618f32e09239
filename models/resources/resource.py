"""What a resource is: a kind of record under /api/v1/, declared once.

A resource is its list of fields. Each line says what the field is called on the wire, what kind of value it takes and
what it is used for; validation, the list and detail shapes, filters and ordering all follow from that line.
A detail shows every field, a list only those that are LISTED. Inside, a record is a row: a mapping from ORM paths
(`email`, `assigned_to_id`, `contact__first_name`) to values, read with one query whatever it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from functools import cached_property
from typing import Any

import orjson
from tortoise.models import Model

from models.access import Action, Viewer, may, visible_sql
from models.resources.kinds import SERIAL, Choice, Kind, Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.selection import Key, Row, Selection
from models.wire import dump


class Use(Flag):
    """What a field is used for."""

    #: Must be given on create and put, and not be blank.
    REQUIRED = auto()
    #: Cannot be set; a client may send back the value it was given.
    READ_ONLY = auto()
    #: May be null.
    NULL = auto()
    #: Shown in lists, not only in details.
    LISTED = auto()
    #: A reference whose `<name>_name` is shown in lists.
    NAMED = auto()
    #: Full-text search looks in it; in a reference, in what the other record is called.
    SEARCHED = auto()


NOTHING = Use(0)
REQUIRED, READ_ONLY, NULL = Use.REQUIRED, Use.READ_ONLY, Use.NULL
LISTED, NAMED, SEARCHED = Use.LISTED, Use.NAMED, Use.SEARCHED

NOT_NULL = "This field may not be null."
NOT_BLANK = "This field may not be blank."
MISSING = "This field is required."
FIXED = "This field is read-only."


@dataclass(frozen=True)
class Field:
    """A value of the record's own."""

    name: str
    kind: Kind
    use: Use = NOTHING

    @property
    def column(self) -> str:
        return self.name

    def read(self, value: object) -> Any:
        """The value to store for a JSON value. Raises Mistake."""
        if value is None:
            if NULL in self.use:
                return None
            if not isinstance(self.kind, Text | Choice):
                raise Mistake(NOT_NULL)
            value = ""
        stored = self.kind.read(value)
        if stored == "" and REQUIRED in self.use and isinstance(self.kind, Text | Choice):
            raise Mistake(NOT_BLANK)
        return stored

    def keys(self) -> tuple[str, ...]:
        """The keys it has on the wire."""
        return (self.name,)

    def paths(self, at: str, listed: bool) -> Iterator[str]:
        """The ORM paths a row needs to show it, below the path `at`."""
        if not listed or LISTED in self.use:
            yield at + self.name


@dataclass(frozen=True)
class Computed:
    """A value worked out from others when the record is shown."""

    name: str
    of: tuple[str, ...]
    value: Callable[..., Any]
    use: Use = NOTHING
    #: What kind of value it gives.
    kind: Kind = Text()  # noqa: RUF009 - kinds are frozen

    def keys(self) -> tuple[str, ...]:
        return (self.name,)

    def paths(self, at: str, listed: bool) -> Iterator[str]:
        if not listed or LISTED in self.use:
            yield from (at + name for name in self.of)

    def show(self, row: Row, at: str, listed: bool, viewer: Viewer) -> Iterator[tuple[str, Any]]:
        if not listed or LISTED in self.use:
            yield self.name, self.worked_out(row, at)

    def worked_out(self, row: Row, at: str) -> Any:
        return self.value(*(row[at + name] for name in self.of))


@dataclass(frozen=True)
class Reference:
    """Another record's id. Details add `<name>_detail`, lists `<name>_name` if it is NAMED and there is one to show."""

    name: str
    to: Resource
    use: Use = NOTHING

    @property
    def column(self) -> str:
        return f"{self.name}_id"

    @property
    def kind(self) -> Kind:
        return SERIAL

    def read(self, value: object) -> Any:
        if value is None:
            if NULL in self.use:
                return None
            raise Mistake(NOT_NULL)
        return SERIAL.read(value)

    def keys(self) -> tuple[str, ...]:
        return (self.name, f"{self.name}_name", f"{self.name}_detail")

    def paths(self, at: str, listed: bool) -> Iterator[str]:
        inside = f"{at}{self.name}__"
        yield at + self.column
        if not listed:
            yield from self.to.paths(inside, listed=True)
        elif NAMED in self.use:
            yield from self.to.access_paths(inside)
            yield from (inside + name for name in self.to.called.of)

    def show(self, row: Row, at: str, listed: bool, viewer: Viewer) -> Iterator[tuple[str, Any]]:
        inside = f"{at}{self.name}__"
        there = row[at + self.column] is not None
        if not listed or LISTED in self.use:
            yield self.name, row[at + self.column]
        if not listed:
            seen = there and self.to.seen(row, inside, viewer)
            yield f"{self.name}_detail", self.to.show(row, viewer, listed=True, at=inside) if seen else None
        elif NAMED in self.use and there and self.to.seen(row, inside, viewer):
            yield f"{self.name}_name", self.to.called.worked_out(row, inside)


@dataclass(frozen=True)
class Custom:
    """The values of a record's custom fields, in its details.

    What may stand there and who sees what of it is not declared but defined by users, so `read` and `show` leave it to
    whoever has the definitions (`models/resources/custom/definitions.py`).
    """

    name: str = "custom_fields"
    use: Use = NOTHING

    def keys(self) -> tuple[str, ...]:
        return (self.name,)

    def paths(self, at: str, listed: bool) -> Iterator[str]:
        if not listed:
            yield at + self.name

    def show(self, row: Row, at: str, listed: bool, viewer: Viewer) -> Iterator[tuple[str, Any]]:
        if not listed:
            yield self.name, {}


Part = Field | Computed | Reference | Custom


@dataclass(frozen=True)
class Sight:
    """Who sees a record by its own columns, beside the access rules."""

    #: The columns that decide.
    of: tuple[str, ...]
    #: Whether a viewer sees the record at that path of a row.
    sees: Callable[[Viewer, Mapping[str, Any], str], bool]
    #: The same as a condition in SQL on a table.
    sql: Callable[[Viewer, str], str]


@dataclass(frozen=True)
class Preset:
    """A filter with a name of its own, such as `?overdue=true`; `false` does not narrow."""

    name: str
    #: In SQL; each `{}` in it stands for the viewer's id.
    condition: str


@dataclass(frozen=True)
class Dependent:
    """Records that are deleted with the one their column refers to."""

    entity: str
    model: type[Model]
    column: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Resource:
    """A kind of record: where it is, what is in it, what others call one."""

    #: The last part of its URL.
    path: str
    #: What access rules, events and history call it.
    entity: str
    model: type[Model]
    #: What a reference to it shows as `<name>_name`.
    called: Computed
    fields: tuple[Part, ...]
    #: What kind of value its ids are.
    key: Kind = SERIAL
    #: The reference that is set to whoever creates the record.
    author: str | None = None
    presets: tuple[Preset, ...] = ()
    #: What a deletion takes along, so that it needs the right to delete that too.
    dependents: tuple[Dependent, ...] = ()
    #: What its columns say of who sees it.
    sight: Sight | None = None
    #: Raises Invalid if columns do not go together: those of the changed record, those it had, who changes it.
    agree: Callable[[Mapping[str, Any], Row | None, Viewer], None] | None = None
    #: What a list is ordered by unless it is asked for another order.
    order: str = "-created_at"
    #: Whether everybody may refer to any of them and see what a reference shows, whatever the access rules say.
    shared: bool = False

    def __post_init__(self) -> None:
        keys = [key for field in self.fields for key in field.keys()] + [preset.name for preset in self.presets]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"{self.path}: declared twice: {', '.join(sorted(twice))}")

    @cached_property
    def stored(self) -> dict[str, Field | Reference]:
        """The fields that have a column, by name."""
        return {field.name: field for field in self.fields if not isinstance(field, Computed | Custom)}

    @cached_property
    def blank(self) -> dict[str, Any]:
        """What the columns of a new record are that says nothing of them."""
        columns = {field.column: self.model._meta.fields_map[field.column] for field in self.stored.values()}
        return {name: c.default() if callable(c.default) else c.default for name, c in columns.items()}

    @cached_property
    def customised(self) -> bool:
        """Whether its records can have custom fields."""
        return any(isinstance(field, Custom) for field in self.fields)

    @cached_property
    def writable(self) -> dict[str, Field | Reference]:
        """The fields a client may set, by name."""
        return {name: field for name, field in self.stored.items() if READ_ONLY not in field.use}

    @cached_property
    def settable(self) -> tuple[str, ...]:
        """The names of everything a client may set."""
        return tuple(f.name for f in self.fields if f.name in self.writable or isinstance(f, Custom))

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The names of what a client can neither set nor have changed under its hands."""
        return frozenset(self.used(READ_ONLY)) - {"updated_at"}

    def used(self, use: Use) -> dict[str, Field | Reference]:
        """The stored fields with that use, by name."""
        return {name: field for name, field in self.stored.items() if use in field.use}

    def read(self, body: Mapping[str, Any], *, partial: bool) -> dict[str, Any]:
        """What to store, by field name, for a client's JSON; `partial` lets required fields be missing.

        Raises Invalid for everything that is wrong at once. Values of keys that cannot be set are not looked at here.
        """
        known = {key for field in self.fields for key in field.keys()}
        wrong: dict[str, list[str]] = {}
        for name in body.keys() - known:
            wrong[name] = [f"Unknown field. Fields are: {', '.join(self.settable)}."]
        values = {}
        for name, field in self.writable.items():
            if name not in body:
                if REQUIRED in field.use and not partial:
                    wrong[name] = [MISSING]
                continue
            try:
                values[name] = field.read(body[name])
            except Mistake as mistake:
                wrong[name] = [str(mistake)]
        if wrong:
            raise Invalid(wrong)
        return values

    def unchanged(self, body: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
        """Raise Invalid if the client tries to change what cannot be set; sending back what `shown` has is no try.

        What the server itself keeps up to date (`updated_at`, computed values, details) may be stale and is ignored.
        """
        sent = orjson.loads(dump({name: shown.get(name) for name in self.fixed}))
        if wrong := {name: [FIXED] for name in self.fixed & body.keys() if body[name] != sent[name]}:
            raise Invalid(wrong)

    def access_paths(self, at: str = "") -> Iterator[str]:
        """The paths of what the access rules look at: the id and every reference."""
        yield at + "id"
        for field in self.fields:
            if isinstance(field, Reference):
                yield at + field.column
        if self.sight is not None:
            yield from (at + column for column in self.sight.of)

    def paths(self, at: str = "", *, listed: bool) -> list[str]:
        """The ORM paths a row needs so that the record can be shown, below the path `at`; each once."""
        paths = list(self.access_paths(at))
        for field in self.fields:
            paths.extend(field.paths(at, listed))
        return list(dict.fromkeys(paths))

    @property
    def table(self) -> str:
        """The name of its table."""
        return self.model._meta.db_table

    @cached_property
    def access(self) -> Selection:
        """What the access rules look at."""
        return Selection(self.model, self.access_paths())

    @cached_property
    def listed(self) -> Selection:
        """What a list shows."""
        return Selection(self.model, self.paths(listed=True))

    @cached_property
    def detailed(self) -> Selection:
        """What a detail shows."""
        return Selection(self.model, self.paths(listed=False))

    def show(self, row: Row, viewer: Viewer, *, listed: bool, at: str = "") -> dict[str, Any]:
        """The record as the viewer may see it."""
        shown: dict[str, Any] = {}
        for name, field in self._shown[listed]:
            if field is None:
                shown[name] = row[at + name]
            else:
                shown.update(field.show(row, at, listed, viewer))
        return shown

    @cached_property
    def _shown(self) -> Mapping[bool, list[tuple[str, Computed | Reference | Custom | None]]]:
        """What a detail and a list show, in turn; of a plain field the name alone, which is most of what lists take."""
        wanted: dict[bool, Use] = {False: ~NOTHING, True: LISTED | NAMED}
        return {
            listed: [
                (field.name, None if isinstance(field, Field) else field)
                for field in self.fields
                if not listed or field.use & uses
            ]
            for listed, uses in wanted.items()
        }

    def seen(self, row: Row, at: str, viewer: Viewer) -> bool:
        """Whether the viewer may refer to and see the one at that path of a row."""
        if self.shared:
            return True
        one = {path.removeprefix(at): row[path] for path in self.access_paths(at)}
        if self.sight is not None and not self.sight.sees(viewer, row, at):
            return False
        return may(viewer, Action.READ, self.entity, one)

    def visible_sql(self, viewer: Viewer, alias: str) -> str:
        """The SQL condition that keeps those the viewer may refer to and see, on the table `alias`."""
        if self.shared:
            return "TRUE"
        ruled = visible_sql(viewer, self.entity, alias)
        return ruled if self.sight is None else f"({ruled} AND {self.sight.sql(viewer, alias)})"

    async def readable(self, key: Key, viewer: Viewer) -> bool:
        """Whether there is a record with this id that the viewer may read."""
        row = await self.access.one(key)
        return row is not None and self.seen(row, "", viewer)
