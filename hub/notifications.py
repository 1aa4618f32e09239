"""One's own notifications under /api/activity/notifications/: reading them, marking them as read, how many are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from aiohttp import web

from hub import pages
from hub.errors import NotFound
from hub.keys import POOL
from hub.openapi.operation import Operation, documented
from hub.openapi.parameters import PAGING, equal_to
from hub.openapi.shapes import COUNT, FLAG, TEXT, Maybe, Named, fields, nullable, page
from hub.requests import VIEWER, context, no_body
from hub.responses import respond
from hub.statement import Statement
from models import database
from models.database import transaction
from models.notifications import NotificationType
from models.resources.conditions import Conditions
from models.resources.content_types import CONTENT_TYPES
from models.resources.kinds import SERIAL, Choice, Flag, Kind, Moment, Uuid
from models.resources.mistakes import Mistake
from models.resources.ordering import Key, total
from models.resources.selection import Row
from models.resources.users import full_name

COLUMNS = "n.*, r.read_at, u.first_name, u.last_name, u.username"
SOURCE = """notifications n LEFT JOIN notification_reads r ON r.notification_id = n.id
LEFT JOIN crm_users u ON u.id = n.actor_id"""
#: The newest first.
ORDER = total(
    [Key(name="created_at", kind=Moment(), sql="n.created_at", descending=True)],
    Key(name="id", kind=Uuid(), sql="n.id"),
)

#: Once is enough, also when another device does it at the same moment.
MARK = """
INSERT INTO notification_reads (notification_id, user_id)
SELECT n.id, n.user_id FROM notifications n LEFT JOIN notification_reads r ON r.notification_id = n.id WHERE {where}
ON CONFLICT (notification_id) DO NOTHING
"""

FILTERS: dict[str, tuple[str, Kind]] = {
    "notification_type": ("n.notification_type", Choice(NotificationType)),
    "is_read": ("(r.id IS NOT NULL)", Flag()),
}


NOTIFICATION = Named(
    "Notification",
    fields(
        id=Uuid(),
        user=SERIAL,
        notification_type=Choice(NotificationType),
        title=TEXT,
        message=TEXT,
        content_type=nullable(SERIAL),
        object_id=TEXT,
        target_type=TEXT,
        actor=nullable(SERIAL),
        actor_name=Maybe(TEXT),
        is_read=FLAG,
        read_at=nullable(Moment()),
        action_url=TEXT,
        created_at=Moment(),
    ),
)
LISTING = (*equal_to({name: kind for name, (_, kind) in FILTERS.items()}), *PAGING)
ONE = Operation(answers={200: NOTIFICATION}, path={"id": Uuid()})


@documented(Operation(answers={200: page(NOTIFICATION)}, parameters=LISTING, refusals=pages.REFUSALS))
async def index(request: web.Request) -> web.Response:
    """A page of the caller's notifications, newest first."""
    given = pages.query(request)
    pages.allowed(given, (*FILTERS, *pages.PAGING))
    conditions = _own(request)
    conditions.narrow(given, FILTERS)
    pool = request.app[POOL]
    listed = Statement(pool=pool, columns=COLUMNS, source=SOURCE, conditions=conditions, order=ORDER)
    return respond(await pages.part(given).envelope(request.url, listed, _shown))


@documented(ONE)
async def retrieve(request: web.Request) -> web.Response:
    """One notification."""
    return respond(await _one(request))


@documented(replace(ONE, body=fields(), bodiless=True))
async def mark_read(request: web.Request) -> web.Response:
    """Note that the caller has read a notification; answers it."""
    await no_body(request)
    await _one(request)
    await _mark(request, _named(request))
    return respond(await _one(request))


@documented(Operation(body=fields(), bodiless=True, answers={200: fields(message=TEXT)}))
async def mark_all_read(request: web.Request) -> web.Response:
    """Note that the caller has read all of them."""
    await no_body(request)
    await _mark(request, _own(request))
    return respond({"message": "All notifications are marked as read."})


@documented(Operation(answers={200: fields(count=COUNT)}))
async def unread_count(request: web.Request) -> web.Response:
    """How many the caller has not read."""
    pages.allowed(pages.query(request), ())
    conditions = _own(request)
    conditions.add("r.id IS NULL")
    sql = f"SELECT count(*) FROM {SOURCE} WHERE {conditions.sql}"
    return respond({"count": await request.app[POOL].fetchval(sql, *conditions.values)})


def _own(request: web.Request) -> Conditions:
    conditions = Conditions()
    conditions.add("n.user_id = {}", request[VIEWER].id)
    return conditions


def _named(request: web.Request) -> Conditions:
    """The one in the URL. Raises NotFound for what can be none."""
    try:
        key: UUID = Uuid().read_text(request.match_info["id"])
    except Mistake:
        raise NotFound from None
    conditions = _own(request)
    conditions.add("n.id = {}", key)
    return conditions


async def _one(request: web.Request) -> dict[str, Any]:
    conditions = _named(request)
    sql = f"SELECT {COLUMNS} FROM {SOURCE} WHERE {conditions.sql}"
    row = await request.app[POOL].fetchrow(sql, *conditions.values)
    if row is None:
        raise NotFound
    return _shown(row)


async def _mark(request: web.Request, conditions: Conditions) -> None:
    conditions.add("r.id IS NULL")
    async with transaction(context(request)):
        await database.execute(MARK.format(where=conditions.sql), conditions.values)


def _shown(row: Row) -> dict[str, Any]:
    name = "" if row["username"] is None else full_name(row["first_name"], row["last_name"], row["username"])
    return {
        "id": row["id"],
        "user": row["user_id"],
        "notification_type": row["notification_type"],
        "title": row["title"],
        "message": row["message"],
        "content_type": CONTENT_TYPES.get(row["object_type"]),
        "object_id": row["object_id"],
        "target_type": row["object_type"],
        "actor": row["actor_id"],
        **({"actor_name": name} if name else {}),
        "is_read": row["read_at"] is not None,
        "read_at": row["read_at"],
        "action_url": row["action_url"],
        "created_at": row["created_at"],
    }
