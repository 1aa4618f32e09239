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
from hub.statement import Statement
from models.account_actions import AccountActionKind
from models.resources.conditions import Conditions
from models.resources.kinds import SERIAL, Choice, Kind, Moment
from models.resources.mistakes import Invalid
from models.resources.ordering import Key, Order, total
from models.resources.selection import Row
from models.resources.wanted import ORDERING

FILTERS: Mapping[str, tuple[str, Kind]] = {
    "action": ("h.action", Choice(AccountActionKind)),
    "user": ("h.user_id", SERIAL),
}


async def index(request: web.Request) -> web.Response:
    """A page of it, newest first."""
    given = pages.query(request)
    pages.allowed(given, (*FILTERS, "start_date", "end_date", ORDERING, *pages.PAGING))
    conditions = Conditions()
    conditions.visible(request[VIEWER], "account_action", "h")
    conditions.narrow(given, FILTERS)
    conditions.during(given, "h.timestamp")
    listed = Statement(
        pool=request.app[POOL],
        columns="h.*",
        source="crm_account_actions h",
        conditions=conditions,
        order=_order(given.get(ORDERING, "-timestamp")),
    )
    return respond(await pages.part(given).envelope(request.url, listed, _shown))


def _order(text: str) -> Order:
    """The order by time that a parameter asks for. Raises Invalid."""
    if text.removeprefix("-") != "timestamp":
        raise Invalid({ORDERING: [f"Cannot order by {text!r}. Allowed: timestamp; a minus reverses."]})
    time = Key(name="timestamp", kind=Moment(), sql="h.timestamp", descending=text.startswith("-"))
    return total([time], Key(name="id", kind=SERIAL, sql="h.id"))


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
