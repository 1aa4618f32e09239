"""One's own notifications under /api/activity/notifications/: reading them, marking them as read, how many are not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aiohttp import web

from hub import pages
from hub.content_types import CONTENT_TYPES
from hub.errors import NotFound
from hub.requests import VIEWER, context, no_body
from hub.responses import respond
from models import database
from models.database import transaction
from models.notifications import NotificationType
from models.resources.conditions import Conditions
from models.resources.kinds import Choice, Flag, Kind, Uuid
from models.resources.mistakes import Mistake
from models.resources.selection import Row
from models.resources.users import full_name

SELECT = """
SELECT n.*, r.read_at, u.first_name, u.last_name, u.username
FROM notifications n
LEFT JOIN notification_reads r ON r.notification_id = n.id
LEFT JOIN crm_users u ON u.id = n.actor_id
WHERE {where} ORDER BY n.created_at DESC, n.id LIMIT {limit} OFFSET {offset}
"""
COUNT = """
SELECT count(*) FROM notifications n LEFT JOIN notification_reads r ON r.notification_id = n.id WHERE {where}
"""
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


async def index(request: web.Request) -> web.Response:
    """A page of the caller's notifications, newest first."""
    given = pages.query(request, (*FILTERS, pages.PAGE, pages.PAGE_SIZE))
    page = pages.page(given)
    conditions = _own(request)
    conditions.narrow(given, FILTERS)
    count = await _count(conditions)
    page.within(count)
    return respond(page.envelope(request.url, count, await _rows(conditions, page.size, page.offset)))


async def retrieve(request: web.Request) -> web.Response:
    """One notification."""
    return respond(await _one(request))


async def mark_read(request: web.Request) -> web.Response:
    """Note that the caller has read a notification; answers it."""
    await no_body(request)
    await _one(request)
    await _mark(request, _named(request))
    return respond(await _one(request))


async def mark_all_read(request: web.Request) -> web.Response:
    """Note that the caller has read all of them."""
    await no_body(request)
    await _mark(request, _own(request))
    return respond({"message": "All notifications are marked as read."})


async def unread_count(request: web.Request) -> web.Response:
    """How many the caller has not read."""
    pages.query(request, ())
    conditions = _own(request)
    conditions.add("r.id IS NULL")
    return respond({"count": await _count(conditions)})


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
    rows = await _rows(_named(request), 1, 0)
    if not rows:
        raise NotFound
    return rows[0]


async def _mark(request: web.Request, conditions: Conditions) -> None:
    conditions.add("r.id IS NULL")
    async with transaction(context(request)):
        await database.execute(MARK.format(where=conditions.sql), conditions.values)


async def _count(conditions: Conditions) -> int:
    (row,) = await database.execute(COUNT.format(where=conditions.sql), conditions.values)
    return int(row["count"])


async def _rows(conditions: Conditions, limit: int, offset: int) -> list[dict[str, Any]]:
    sql = SELECT.format(where=conditions.sql, limit=limit, offset=offset)
    return [_shown(row) for row in await database.execute(sql, conditions.values)]


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
