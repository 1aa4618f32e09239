"""What was done with accounts: /api/auth/audit-logs/. Everybody reads their own, administrators everybody's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from hub import pages
from hub.keys import POOL
from hub.requests import VIEWER
from hub.responses import respond
from models.account_actions import AccountActionKind
from models.resources.conditions import Conditions
from models.resources.kinds import SERIAL, Choice, Kind
from models.resources.selection import Row

FILTERS: Mapping[str, tuple[str, Kind]] = {
    "action": ("h.action", Choice(AccountActionKind)),
    "user": ("h.user_id", SERIAL),
}
TABLE = "crm_account_actions h"


async def index(request: web.Request) -> web.Response:
    """A page of it, newest first."""
    parameters = (*FILTERS, "start_date", "end_date", pages.ORDERING, pages.PAGE, pages.PAGE_SIZE)
    given = pages.query(request, parameters)
    page = pages.page(given)
    newest = pages.ordering(given, ("timestamp",), "-timestamp")[0].startswith("-")
    conditions = Conditions()
    conditions.visible(request[VIEWER], "account_action", "h")
    conditions.narrow(given, FILTERS)
    conditions.during(given, "h.timestamp")
    pool = request.app[POOL]
    count = await pool.fetchval(f"SELECT count(*) FROM {TABLE} WHERE {conditions.sql}", *conditions.values)
    page.within(count)
    # Ids are in the order of the times.
    tail = f"ORDER BY h.id{' DESC' * newest} LIMIT {page.size} OFFSET {page.offset}"
    rows = await pool.fetch(f"SELECT h.* FROM {TABLE} WHERE {conditions.sql} {tail}", *conditions.values)
    return respond(page.envelope(request.url, count, [_shown(row) for row in rows]))


def _shown(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "user": row["user_id"],
        "user_name": row["user_name"],
        "action": row["action"],
        "model_name": "user",
        "object_id": "" if row["user_id"] is None else str(row["user_id"]),
        "details": orjson.Fragment(row["details"]),
        "ip_address": row["ip_address"],
        "user_agent": row["user_agent"],
        "timestamp": row["timestamp"],
    }
