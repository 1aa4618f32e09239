"""Reading back what happened: the audit trail and the history of single fields.

The history of a record is for whoever may read the record now; of deleted records, users and configuration for admin
and manager. The rows are derived by the agent `audit`, a moment after the change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web

from hub import pages
from hub.definitions import DEFINITIONS
from hub.errors import NotFound
from hub.keys import POOL
from hub.openapi.operation import Operation, documented
from hub.openapi.parameters import DURING, PAGING, equal_to, ordering_by
from hub.openapi.shapes import OBJECT, TEXT, Maybe, Named, fields, nullable
from hub.openapi.shapes import page as listing
from hub.requests import VIEWER
from hub.responses import respond
from hub.statement import Statement
from models.access import Viewer
from models.audit import AuditAction
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.content_types import CONTENT_TYPES, ContentType
from models.resources.custom import past
from models.resources.custom.definitions import Definitions
from models.resources.kinds import SERIAL, Choice, Kind, Moment, Text, Uuid
from models.resources.mistakes import Invalid
from models.resources.ordering import Key, Order, total
from models.resources.selection import Row
from models.resources.users import full_name
from models.resources.wanted import ORDERING

COLUMNS = "h.*, u.first_name, u.last_name, u.username"


@dataclass(frozen=True, kw_only=True)
class History:
    """Handlers of one list of history: its table, the time it is ordered by, its filters and what a row shows."""

    table: str
    time: str
    #: Parameter to (column, kind).
    filters: Mapping[str, tuple[str, Kind]]
    show: Callable[[Row], dict[str, Any]]
    #: The same in the document.
    shape: Named
    #: The column with the user's id.
    user: str
    #: Whether `model` and `object_id` only go together.
    paired: bool = False
    dated: bool = False
    #: The column with a field's name, if a row is about one field.
    named: str = ""
    #: Columns that show values of custom fields, and what cuts them down to those the viewer sees.
    cut: Mapping[str, Callable[[Definitions, Viewer, str, str], str]] = field(default_factory=dict)

    @documented(lambda self: self.listed)
    async def index(self, request: web.Request) -> web.Response:
        """A part of it, newest first."""
        given = pages.query(request)
        dates = ("start_date", "end_date") if self.dated else ()
        pages.allowed(given, (*self.filters, *dates, ORDERING, *pages.PAGING))
        if self.paired and ("model" in given) != ("object_id" in given):
            raise Invalid({"model": ["Give model and object_id together."]})
        conditions = self._readable(request)
        conditions.narrow(given, self.filters)
        conditions.during(given, f"h.{self.time}")
        listed = Statement(
            pool=request.app[POOL],
            columns=self._columns(request),
            source=self._source,
            conditions=conditions,
            order=self._order(given.get(ORDERING, f"-{self.time}")),
        )
        return respond(await pages.part(given).envelope(request.url, listed, self.show))

    @documented(lambda self: Operation(answers={200: self.shape}, path={"id": Uuid()}))
    async def retrieve(self, request: web.Request) -> web.Response:
        """One row of it."""
        try:
            key = UUID(request.match_info["id"])
        except ValueError:
            raise NotFound from None
        conditions = self._readable(request)
        conditions.add("h.id = {}", key)
        sql = f"SELECT {self._columns(request)} FROM {self._source} WHERE {conditions.sql}"
        row = await request.app[POOL].fetchrow(sql, *conditions.values)
        if row is None:
            raise NotFound
        return respond(self.show(row))

    @property
    def _source(self) -> str:
        return f"{self.table} h LEFT JOIN crm_users u ON u.id = h.{self.user}"

    def _order(self, text: str) -> Order:
        """The order by time that a parameter asks for. Raises Invalid."""
        if text.removeprefix("-") != self.time:
            raise Invalid({ORDERING: [f"Cannot order by {text!r}. Allowed: {self.time}; a minus reverses."]})
        time = Key(name=self.time, kind=Moment(), sql=f"h.{self.time}", descending=text.startswith("-"))
        return total([time], Key(name="id", kind=Uuid(), sql="h.id"))

    @property
    def listed(self) -> Operation:
        """What the list takes and answers."""
        filters = equal_to({name: kind for name, (_, kind) in self.filters.items()})
        parameters = (*filters, *(DURING if self.dated else ()), ordering_by(self.time), *PAGING)
        return Operation(answers={200: listing(self.shape)}, parameters=parameters, refusals=pages.REFUSALS)

    def _readable(self, request: web.Request) -> Conditions:
        conditions = Conditions()
        conditions.readable(request[VIEWER], "h.object_type", "h.object_id", RESOURCES.values())
        if self.named:
            now = request.app[DEFINITIONS].now
            conditions.keep(past.seen_names(now, request[VIEWER], "h.object_type", f"h.{self.named}"))
        return conditions

    def _columns(self, request: web.Request) -> str:
        """What is read of a row, and of what custom fields it tells as much as the caller sees."""
        now, viewer = request.app[DEFINITIONS].now, request[VIEWER]
        cut = (
            f", {seen(now, viewer, 'h.object_type', f'h.{column}')} AS seen_{column}"
            for column, seen in self.cut.items()
        )
        return COLUMNS + "".join(cut)


def _named(key: str, row: Row) -> dict[str, str]:
    """The user's name under that key, nothing if there is no such user."""
    return {} if row["username"] is None else {key: full_name(row["first_name"], row["last_name"], row["username"])}


def _audit_record(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "user": row["user_id"],
        **_named("user_name", row),
        "user_email": row["user_email"],
        "content_type": CONTENT_TYPES.get(row["object_type"]),
        "model_name": row["object_type"],
        "object_id": row["object_id"],
        "object_repr": row["object_repr"],
        "action": row["action"],
        "description": row["description"],
        "changes": orjson.Fragment(row["seen_changes"]),
        "old_values": orjson.Fragment(row["seen_old_values"]),
        "new_values": orjson.Fragment(row["seen_new_values"]),
        "ip_address": row["ip_address"],
        "user_agent": row["user_agent"],
        "request_id": row["request_id"],
        "metadata": orjson.Fragment(row["metadata"]),
        "timestamp": row["timestamp"],
    }


def _field_change(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "content_type": CONTENT_TYPES.get(row["object_type"]),
        "model_name": row["object_type"],
        "object_id": row["object_id"],
        "field_name": row["field_name"],
        "field_label": row["field_label"],
        "old_value": row["old_value"],
        "new_value": row["new_value"],
        "old_value_display": row["old_value_display"],
        "new_value_display": row["new_value_display"],
        "changed_by": row["changed_by_id"],
        **_named("changed_by_name", row),
        "changed_at": row["changed_at"],
    }


_AUDIT_RECORD = Named(
    "AuditRecord",
    fields(
        id=Uuid(),
        user=nullable(SERIAL),
        user_name=Maybe(TEXT),
        user_email=TEXT,
        content_type=nullable(SERIAL),
        model_name=TEXT,
        object_id=TEXT,
        object_repr=TEXT,
        action=Choice(AuditAction),
        description=TEXT,
        changes=OBJECT,
        old_values=OBJECT,
        new_values=OBJECT,
        ip_address=nullable(TEXT),
        user_agent=TEXT,
        request_id=nullable(Uuid()),
        metadata=OBJECT,
        timestamp=Moment(),
    ),
)

_FIELD_CHANGE = Named(
    "FieldChange",
    fields(
        id=Uuid(),
        content_type=nullable(SERIAL),
        model_name=TEXT,
        object_id=TEXT,
        field_name=TEXT,
        field_label=TEXT,
        old_value=nullable(TEXT),
        new_value=nullable(TEXT),
        old_value_display=nullable(TEXT),
        new_value_display=nullable(TEXT),
        changed_by=nullable(SERIAL),
        changed_by_name=Maybe(TEXT),
        changed_at=Moment(),
    ),
)

_RECORD: Mapping[str, tuple[str, Kind]] = {
    "content_type": ("h.object_type", ContentType()),
    "model": ("h.object_type", ContentType()),
    "object_id": ("h.object_id", Text(255)),
}

AUDIT_TRAIL = History(
    table="audit_trail",
    time="timestamp",
    filters={"action": ("h.action", Choice(AuditAction)), "user": ("h.user_id", SERIAL), **_RECORD},
    show=_audit_record,
    shape=_AUDIT_RECORD,
    user="user_id",
    dated=True,
    cut={"changes": past.seen_changes, "old_values": past.seen_values, "new_values": past.seen_values},
)

FIELD_HISTORY = History(
    table="field_history",
    time="changed_at",
    filters={"field_name": ("h.field_name", Text(100)), "changed_by": ("h.changed_by_id", SERIAL), **_RECORD},
    show=_field_change,
    shape=_FIELD_CHANGE,
    user="changed_by_id",
    paired=True,
    named="field_name",
)
