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
from hub.requests import VIEWER
from hub.responses import respond
from models.access import Viewer
from models.audit import AuditAction
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.content_types import CONTENT_TYPES, ContentType
from models.resources.custom import past
from models.resources.custom.definitions import Definitions
from models.resources.kinds import SERIAL, Choice, Kind, Text
from models.resources.mistakes import Invalid
from models.resources.selection import Row
from models.resources.users import full_name


@dataclass(frozen=True, kw_only=True)
class History:
    """Handlers of one list of history: its table, the time it is ordered by, its filters and what a row shows."""

    table: str
    time: str
    #: Parameter to (column, kind).
    filters: Mapping[str, tuple[str, Kind]]
    show: Callable[[Row], dict[str, Any]]
    #: The column with the user's id.
    user: str
    #: Whether `model` and `object_id` only go together.
    paired: bool = False
    dated: bool = False
    #: The column with a field's name, if a row is about one field.
    named: str = ""
    #: Columns that show values of custom fields, and what cuts them down to those the viewer sees.
    cut: Mapping[str, Callable[[Definitions, Viewer, str, str], str]] = field(default_factory=dict)

    async def index(self, request: web.Request) -> web.Response:
        """A page of it, newest first."""
        dates = ("start_date", "end_date") if self.dated else ()
        given = pages.query(request, (*self.filters, *dates, pages.ORDERING, pages.PAGE, pages.PAGE_SIZE))
        page = pages.page(given)
        order = pages.ordering(given, (self.time,), f"-{self.time}")
        if self.paired and ("model" in given) != ("object_id" in given):
            raise Invalid({"model": ["Give model and object_id together."]})
        conditions = self._readable(request)
        conditions.narrow(given, self.filters)
        conditions.during(given, f"h.{self.time}")
        count = await request.app[POOL].fetchval(
            f"SELECT count(*) FROM {self.table} h WHERE {conditions.sql}", *conditions.values
        )
        page.within(count)
        terms = ", ".join(f"h.{term.removeprefix('-')}{' DESC' * term.startswith('-')}" for term in order)
        rows = await self._rows(request, conditions, f"ORDER BY {terms} LIMIT {page.size} OFFSET {page.offset}")
        return respond(page.envelope(request.url, count, rows))

    async def retrieve(self, request: web.Request) -> web.Response:
        """One row of it."""
        try:
            key = UUID(request.match_info["id"])
        except ValueError:
            raise NotFound from None
        conditions = self._readable(request)
        conditions.add("h.id = {}", key)
        rows = await self._rows(request, conditions, "")
        if not rows:
            raise NotFound
        return respond(rows[0])

    def _readable(self, request: web.Request) -> Conditions:
        conditions = Conditions()
        conditions.readable(request[VIEWER], "h.object_type", "h.object_id", RESOURCES.values())
        if self.named:
            now = request.app[DEFINITIONS].now
            conditions.add(past.seen_names(now, request[VIEWER], "h.object_type", f"h.{self.named}"))
        return conditions

    async def _rows(self, request: web.Request, conditions: Conditions, tail: str) -> list[dict[str, Any]]:
        now, viewer = request.app[DEFINITIONS].now, request[VIEWER]
        cut = "".join(
            f", {seen(now, viewer, 'h.object_type', f'h.{column}')} AS seen_{column}"
            for column, seen in self.cut.items()
        )
        rows = await request.app[POOL].fetch(
            f"""SELECT h.*{cut}, u.first_name, u.last_name, u.username
                FROM {self.table} h LEFT JOIN crm_users u ON u.id = h.{self.user}
                WHERE {conditions.sql} {tail}""",
            *conditions.values,
        )
        return [self.show(row) for row in rows]


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
    user="user_id",
    dated=True,
    cut={"changes": past.seen_changes, "old_values": past.seen_values, "new_values": past.seen_values},
)

FIELD_HISTORY = History(
    table="field_history",
    time="changed_at",
    filters={"field_name": ("h.field_name", Text(100)), "changed_by": ("h.changed_by_id", SERIAL), **_RECORD},
    show=_field_change,
    user="changed_by_id",
    paired=True,
    named="field_name",
)
