"""The timeline: what happened, newest first, over all records the viewer may read or of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
from aiohttp import web

from hub import pages
from hub.definitions import DEFINITIONS
from hub.errors import Refusal
from hub.keys import POOL
from hub.openapi.operation import Operation, Parameter, documented
from hub.openapi.parameters import DURING, PAGES, PAGING, equal_to
from hub.openapi.shapes import COUNT, ERROR, OBJECT, TEXT, Maybe, Named, Shape, either, fields, many, nullable
from hub.openapi.shapes import page as listing
from hub.pages import Part
from hub.requests import VIEWER
from hub.responses import respond
from hub.statement import Statement
from models.access import Role, Viewer
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.custom import past
from models.resources.custom.definitions import Definitions
from models.resources.kinds import SERIAL, Choice, Integer, Kind, Moment, Schema, Text, Uuid
from models.resources.mistakes import Invalid, Mistake
from models.resources.ordering import Key
from models.resources.selection import Row
from models.resources.window import Window
from models.timeline import ItemType

LIMIT = "limit"
DEFAULT_LIMIT, LARGEST_LIMIT = 50, 500

NEWEST_FIRST = (
    Key(name="occurred_at", kind=Moment(), sql="t.occurred_at", descending=True),
    Key(name="id", kind=Uuid(), sql="t.id", descending=True),
)

#: Who did what nobody is known to have done.
SYSTEM = "System"


FILTERS: Mapping[str, tuple[str, Kind]] = {
    "entity_type": ("t.entity_type", Text(50)),
    "entity_id": ("t.entity_id", Text(255)),
    "user_id": ("t.user_id", SERIAL),
    "action": ("t.action", Text(50)),
}
PARAMETERS = (*FILTERS, "activity_types", "start_date", "end_date", LIMIT, *pages.PAGING)


class NoTimeline(Refusal):
    """There is no such record, or not for you."""

    status = 404
    shape = ERROR

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.__doc__}


_LIMIT = Parameter(name=LIMIT, shape=Integer(1, LARGEST_LIMIT), about="Items a page; page_size will do as well.")
_DETAILS: Mapping[str, Shape | Maybe] = {name: Maybe(OBJECT) for name in ("metadata", "changes")}
_WHAT: Mapping[str, Shape] = {"id": TEXT, "type": Choice(ItemType), "action": TEXT, "description": TEXT}
_ITEM = Named(
    "TimelineItem",
    fields(
        {**_WHAT, **_DETAILS},
        entity_type=TEXT,
        entity_id=either(SERIAL, TEXT),
        entity_name=TEXT,
        user=fields(id=nullable(SERIAL), name=TEXT, email=TEXT),
        old_values=Maybe(OBJECT),
        new_values=Maybe(OBJECT),
        timestamp=Moment(),
    ),
)
_ITEM_OF_RECORD = Named("TimelineItemOfRecord", fields({**_WHAT, **_DETAILS}, user=TEXT, timestamp=Moment()))
_OF_RECORD = Named(
    "RecordTimeline", fields(entity_type=TEXT, entity_id=SERIAL, count=COUNT, timeline=many(_ITEM_OF_RECORD))
)
_TYPES: Schema = {**TEXT, "pattern": "^({0})(,({0}))*$".format("|".join(ItemType))}
_FILTERING = (
    *equal_to({name: kind for name, (_, kind) in FILTERS.items()}),
    Parameter(name="activity_types", shape=_TYPES, about=f"Any of {', '.join(ItemType)}, with commas between."),
    *DURING,
    _LIMIT,
    *PAGING,
)


@documented(Operation(answers={200: listing(_ITEM)}, parameters=_FILTERING, refusals=pages.REFUSALS))
async def index(request: web.Request) -> web.Response:
    """What happened to all records the viewer may read; `limit` items a page."""
    given = pages.query(request)
    pages.allowed(given, PARAMETERS)
    part = _part(given)
    if "entity_id" in given and "entity_type" not in given:
        raise Invalid({"entity_id": ["Give entity_type with it."]})
    conditions = Conditions()
    conditions.readable(request[VIEWER], "t.entity_type", "t.entity_id", RESOURCES.values())
    conditions.narrow(given, FILTERS)
    conditions.during(given, "t.occurred_at")
    if "activity_types" in given:
        conditions.add("t.type = ANY({})", _types(given["activity_types"]))
    listed = _listed(request.app[POOL], conditions, request.app[DEFINITIONS].now, request[VIEWER])
    return respond(await part.envelope(request.url, listed, _item))


@documented(Operation(answers={200: _OF_RECORD}, parameters=(_LIMIT, *PAGES), refusals=(NoTimeline,)))
async def of_record(request: web.Request) -> web.Response:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    given = pages.query(request)
    pages.allowed(given, (LIMIT, pages.PAGE, pages.PAGE_SIZE))
    try:
        key = SERIAL.read_text(request.match_info["id"])
    except Mistake:
        raise NoTimeline from None
    now, entity = request.app[DEFINITIONS].now, request.match_info["entity_type"]
    return respond(await record(request.app[POOL], now, request[VIEWER], entity, key, _part(given)))


async def record(
    pool: asyncpg.Pool, definitions: Definitions, viewer: Viewer, entity: str, key: int, part: Part
) -> dict[str, Any]:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    resource = RESOURCES.get(entity)
    there = resource is not None and await resource.readable(key, viewer)
    conditions = Conditions()
    conditions.add("t.entity_type = {} AND t.entity_id = {}", entity, str(key))
    listed = _listed(pool, conditions, definitions, viewer)
    count = await listed.count()
    rows = await listed.rows(Window(order=NEWEST_FIRST, limit=part.size, offset=part.offset))
    deleted_yet_known = count > 0 and viewer.role in (Role.ADMIN, Role.MANAGER)
    if not there and not deleted_yet_known:
        raise NoTimeline
    items = [_item_of_record(row) for row in rows]
    return {"entity_type": entity, "entity_id": key, "count": count, "timeline": items}


def _listed(pool: asyncpg.Pool, conditions: Conditions, now: Definitions, viewer: Viewer) -> Statement:
    """Items, with what they tell of those custom fields that the viewer sees."""
    cut = {"changes": past.seen_changes, "old_values": past.seen_values, "new_values": past.seen_values}
    seen = (f", {seen(now, viewer, 't.entity_type', f't.{name}')} AS seen_{name}" for name, seen in cut.items())
    columns = "t.*" + "".join(seen)
    return Statement(pool=pool, columns=columns, source="timeline t", conditions=conditions, order=NEWEST_FIRST)


def _part(given: Mapping[str, str]) -> Part:
    """The part asked for: by `limit` (to 500) as the original API has it, or by `page_size` as every list has it."""
    if LIMIT not in given and pages.PAGE_SIZE in given:
        return pages.part(given)
    if pages.PAGE_SIZE in given:
        raise Invalid({LIMIT: ["Give limit or page_size, not both."]})
    return replace(pages.part(given), size=pages.size(given, LIMIT, DEFAULT_LIMIT, LARGEST_LIMIT))


def _types(text: str) -> Any:
    try:
        return [Choice(ItemType).read_text(word.strip()) for word in text.split(",")]
    except Mistake as mistake:
        raise Invalid({"activity_types": [str(mistake)]}) from None


def _item(row: Row) -> dict[str, Any]:
    user = {"id": row["user_id"], "name": row["user_name"] or SYSTEM, "email": row["user_email"]}
    return {
        **_what(row),
        "entity_type": row["entity_type"],
        "entity_id": _number(row["entity_id"]),
        "entity_name": row["entity_name"],
        "user": user,
        **_details(row, metadata="metadata", **{n: f"seen_{n}" for n in ("changes", "old_values", "new_values")}),
        "timestamp": row["occurred_at"],
    }


def _item_of_record(row: Row) -> dict[str, Any]:
    return {
        **_what(row),
        "user": row["user_name"] or SYSTEM,
        **_details(row, metadata="metadata", changes="seen_changes"),
        "timestamp": row["occurred_at"],
    }


def _what(row: Row) -> dict[str, Any]:
    return {
        "id": f"{row['type']}_{row['id']}",
        "type": row["type"],
        "action": row["action"],
        "description": row["description"],
    }


def _details(row: Row, **columns: str) -> dict[str, Any]:
    """The JSON columns that say something, by what they are called on the wire."""
    return {name: orjson.Fragment(row[one]) for name, one in columns.items() if row[one] not in (None, "{}")}


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
