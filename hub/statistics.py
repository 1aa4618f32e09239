"""Numbers over the lists: what is counted is what the list would show for the same filters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from hub.errors import Handler
from hub.records import Records
from hub.requests import VIEWER
from hub.responses import respond
from models.access import Viewer
from models.resources.conditions import Conditions

Counted = Callable[[Conditions, Viewer], Awaitable[dict[str, Any]]]


def handler(records: Records, counted: Counted) -> Handler:
    """The handler that answers some numbers over a resource's list, with the filters of the list."""

    async def statistics(request: web.Request) -> web.StreamResponse:
        return respond(await counted(await records.narrowed(request), request[VIEWER]))

    return statistics
