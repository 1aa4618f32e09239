"""The timeline: what happened, newest first, over all records the viewer may read or of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from aiohttp import web

from hub import pages
from hub.definitions import DEFINITIONS
from hub.errors import Refusal
from hub.keys import POOL
from hub.pages import Page
from hub.requests import VIEWER
from hub.responses import respond
from models.access import Role, Viewer
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.custom import past
from models.resources.custom.definitions import Definitions
from models.resources.kinds import SERIAL, Choice, Integer, Kind, Text
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

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.__doc__}


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
    count, rows = await _read(request.app[POOL], conditions, page, _seen(request.app[DEFINITIONS].now, request[VIEWER]))
    page.within(count)
    return respond(page.envelope(request.url, count, [_item(row) for row in rows]))


async def of_record(request: web.Request) -> web.Response:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    page = _page(pages.query(request, (LIMIT, pages.PAGE, pages.PAGE_SIZE)))
    try:
        key = SERIAL.read_text(request.match_info["id"])
    except Mistake:
        raise NoTimeline from None
    now, entity = request.app[DEFINITIONS].now, request.match_info["entity_type"]
    return respond(await record(request.app[POOL], now, request[VIEWER], entity, key, page))


async def record(
    pool: asyncpg.Pool, definitions: Definitions, viewer: Viewer, entity: str, key: int, page: Page
) -> dict[str, Any]:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    resource = RESOURCES.get(entity)
    there = resource is not None and await resource.readable(key, viewer)
    conditions = Conditions()
    conditions.add("t.entity_type = {} AND t.entity_id = {}", entity, str(key))
    count, rows = await _read(pool, conditions, page, _seen(definitions, viewer))
    deleted_yet_known = count > 0 and viewer.role in (Role.ADMIN, Role.MANAGER)
    if not there and not deleted_yet_known:
        raise NoTimeline
    items = [_item_of_record(row) for row in rows]
    return {"entity_type": entity, "entity_id": key, "count": count, "timeline": items}


def _seen(now: Definitions, viewer: Viewer) -> str:
    """The columns that show values of custom fields, with those the viewer sees."""
    cut = {"changes": past.seen_changes, "old_values": past.seen_values, "new_values": past.seen_values}
    return ", ".join(f"{seen(now, viewer, 't.entity_type', f't.{name}')} AS seen_{name}" for name, seen in cut.items())


async def _read(pool: asyncpg.Pool, conditions: Conditions, page: Page, seen: str) -> tuple[int, Any]:
    async with pool.acquire() as connection:
        count = await connection.fetchval(f"SELECT count(*) FROM timeline t WHERE {conditions.sql}", *conditions.values)
        rows = await connection.fetch(
            f"SELECT t.*, {seen} FROM timeline t WHERE {conditions.sql} {NEWEST_FIRST}"
            f" LIMIT {page.size} OFFSET {page.offset}",
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
