"""The timeline: what happened, newest first, over all records the viewer may read or of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
from aiohttp import web

from hub import pages
from hub.errors import Refusal
from hub.keys import POOL
from hub.pages import Part
from hub.requests import VIEWER
from hub.responses import respond
from hub.statement import Statement
from models.access import Role, Viewer
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.kinds import SERIAL, Choice, Kind, Moment, Text, Uuid
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

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.__doc__}


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
    return respond(await part.envelope(request.url, _listed(request.app[POOL], conditions), _item))


async def of_record(request: web.Request) -> web.Response:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    given = pages.query(request)
    pages.allowed(given, (LIMIT, pages.PAGE, pages.PAGE_SIZE))
    try:
        key = SERIAL.read_text(request.match_info["id"])
    except Mistake:
        raise NoTimeline from None
    return respond(
        await record(request.app[POOL], request[VIEWER], request.match_info["entity_type"], key, _part(given))
    )


async def record(pool: asyncpg.Pool, viewer: Viewer, entity: str, key: int, part: Part) -> dict[str, Any]:
    """What happened to one record. Raises NoTimeline if the viewer may not read it."""
    resource = RESOURCES.get(entity)
    there = resource is not None and await resource.readable(key, viewer)
    conditions = Conditions()
    conditions.add("t.entity_type = {} AND t.entity_id = {}", entity, str(key))
    listed = _listed(pool, conditions)
    count = await listed.count()
    rows = await listed.rows(Window(order=NEWEST_FIRST, limit=part.size, offset=part.offset))
    deleted_yet_known = count > 0 and viewer.role in (Role.ADMIN, Role.MANAGER)
    if not there and not deleted_yet_known:
        raise NoTimeline
    items = [_item_of_record(row) for row in rows]
    return {"entity_type": entity, "entity_id": key, "count": count, "timeline": items}


def _listed(pool: asyncpg.Pool, conditions: Conditions) -> Statement:
    return Statement(pool=pool, columns="t.*", source="timeline t", conditions=conditions, order=NEWEST_FIRST)


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
