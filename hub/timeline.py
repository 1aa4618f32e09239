"""The timeline: what happened, newest first, over all records the viewer may read or of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from aiohttp import web

from hub import pages
from hub.errors import Refusal
from hub.keys import POOL
from hub.openapi.operation import Operation, Parameter, documented
from hub.openapi.parameters import DURING, PAGING, equal_to
from hub.openapi.shapes import COUNT, ERROR, OBJECT, TEXT, Maybe, Named, Shape, either, fields, many, nullable
from hub.openapi.shapes import page as listing
from hub.pages import Page
from hub.requests import VIEWER
from hub.responses import respond
from models.access import Role, Viewer
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.kinds import SERIAL, Choice, Integer, Kind, Moment, Schema, Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.selection import Row
from models.timeline import ItemType

LIMIT = "limit"
DEFAULT_LIMIT, LARGEST_LIMIT = 50, 500

NEWEST_FIRST = "ORDER BY t.occurred_at DESC, t.id DESC"

#: Who did what nobody is known to have done.
SYSTEM = "System"


FILTERS: Mapping[str, tuple[str, Kind]] = {
    "entity_type": ("t.entity_type", Text(50)),
    "entity_id": ("t.entity_id", Text(255)),
    "user_id": ("t.user_id", SERIAL),
    "action": ("t.action", Text(50)),
}
PARAMETERS = (*FILTERS, "activity_types", "start_date", "end_date", LIMIT, pages.PAGE, pages.PAGE_SIZE)


class NoTimeline(Refusal):
    """There is no such record, or not for you."""

    status = 404
    shape = ERROR

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.__doc__}


_LIMITED = (
    Parameter(name=LIMIT, shape=Integer(1, LARGEST_LIMIT), about="Items a page; page_size will do as well."),
    *PAGING,
)
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
    *_LIMITED,
)


@documented(Operation(answers={200: listing(_ITEM)}, parameters=_FILTERING, refusals=pages.REFUSALS))
async def index(request: web.Request) -> web.Response:
    """What happened to all records the viewer may read; `limit` items a page."""
    given = pages.query(request, PARAMETERS)
    page = _page(given)
    if "entity_id" in given and "entity_type" not in given:
        raise Invalid({"entity_id": ["Give entity_type with it."]})
    conditions = Conditions()
    conditions.readable(request[VIEWER], "t.entity_type", "t.entity_id", RESOURCES.values())
    conditions.narrow(given, FILTERS)
    conditions.during(given, "t.occurred_at")
    if "activity_types" in given:
        conditions.add("t.type = ANY({})", _types(given["activity_types"]))
    count, rows = await _read(request.app[POOL], conditions, page)
    page.within(count)
    return respond(page.envelope(request.url, count, [_item(row) for row in rows]))


@documented(Operation(answers={200: _OF_RECORD}, parameters=_LIMITED, refusals=(NoTimeline,)))
async def of_record(request: web.Request) -> web.Response:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    page = _page(pages.query(request, (LIMIT, pages.PAGE, pages.PAGE_SIZE)))
    try:
        key = SERIAL.read_text(request.match_info["id"])
    except Mistake:
        raise NoTimeline from None
    return respond(await record(request.app[POOL], request[VIEWER], request.match_info["entity_type"], key, page))


async def record(pool: asyncpg.Pool, viewer: Viewer, entity: str, key: int, page: Page) -> dict[str, Any]:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    resource = RESOURCES.get(entity)
    there = resource is not None and await resource.readable(key, viewer)
    conditions = Conditions()
    conditions.add("t.entity_type = {} AND t.entity_id = {}", entity, str(key))
    count, rows = await _read(pool, conditions, page)
    deleted_yet_known = count > 0 and viewer.role in (Role.ADMIN, Role.MANAGER)
    if not there and not deleted_yet_known:
        raise NoTimeline
    items = [_item_of_record(row) for row in rows]
    return {"entity_type": entity, "entity_id": key, "count": count, "timeline": items}


async def _read(pool: asyncpg.Pool, conditions: Conditions, page: Page) -> tuple[int, Any]:
    async with pool.acquire() as connection:
        count = await connection.fetchval(f"SELECT count(*) FROM timeline t WHERE {conditions.sql}", *conditions.values)
        rows = await connection.fetch(
            f"SELECT t.* FROM timeline t WHERE {conditions.sql} {NEWEST_FIRST} LIMIT {page.size} OFFSET {page.offset}",
            *conditions.values,
        )
    return count, rows


def _page(given: Mapping[str, str]) -> Page:
    """The page asked for: by `limit` (to 500) as the original API has it, or by `page_size` as every list has it."""
    if LIMIT not in given and pages.PAGE_SIZE in given:
        return pages.page(given)
    if pages.PAGE_SIZE in given:
        raise Invalid({LIMIT: ["Give limit or page_size, not both."]})
    try:
        size = Integer(1, LARGEST_LIMIT).read_text(given.get(LIMIT, str(DEFAULT_LIMIT)))
    except Mistake as mistake:
        raise Invalid({LIMIT: [str(mistake)]}) from None
    return Page(number=pages.page(given).number, size=size)


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
        **_details(row, "metadata", "changes", "old_values", "new_values"),
        "timestamp": row["occurred_at"],
    }


def _item_of_record(row: Row) -> dict[str, Any]:
    return {
        **_what(row),
        "user": row["user_name"] or SYSTEM,
        **_details(row, "metadata", "changes"),
        "timestamp": row["occurred_at"],
    }


def _what(row: Row) -> dict[str, Any]:
    return {
        "id": f"{row['type']}_{row['id']}",
        "type": row["type"],
        "action": row["action"],
        "description": row["description"],
    }


def _details(row: Row, *names: str) -> dict[str, Any]:
    """The JSON columns that say something."""
    return {name: orjson.Fragment(row[name]) for name in names if row[name] not in (None, "{}")}


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text
