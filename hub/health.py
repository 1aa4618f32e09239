"""What an operator's tools ask a node: is it alive, may it be sent clients, how is it doing."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from hub.control import CONTROL
from hub.fold import FOLD
from hub.metrics import exposition
from hub.openapi.operation import Content, Operation, documented
from hub.openapi.shapes import FLAG, TEXT, fields
from hub.responses import respond

LIVE = fields(live=FLAG)
READY = fields(ready=FLAG, log=TEXT, postgres=TEXT)


@documented(Operation(answers={200: LIVE}))
async def live(_request: web.Request) -> web.Response:
    """Whether the process answers at all."""
    return respond({"live": True})


@documented(Operation(answers={200: READY, 503: READY}))
async def ready(request: web.Request) -> web.Response:
    """Whether clients may come: the fold has caught up, and who is present is known. Postgres stands beside it, sockets
    go on without it.
    """
    fold = request.app[FOLD]
    ready = fold.ready and request.app[CONTROL].ready
    body = {
        "ready": ready,
        "log": fold.log.incarnation,
        "postgres": "up" if fold.postgres else "away",
    }
    return respond(body, status=200 if ready else 503)


@documented(Operation(answers={200: Content("text/plain")}))
async def metrics(request: web.Request) -> web.Response:
    """All metrics of the process, for Prometheus."""
    return web.Response(body=exposition(request.app), headers={"Content-Type": CONTENT_TYPE_LATEST})
