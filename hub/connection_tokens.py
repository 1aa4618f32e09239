"""Tokens for the Centrifuge SDKs: `POST /api/v1/connection-token/` and `/api/v1/subscription-token/`.

Both are for the user who asks. A token for a channel is given for those of the CRM that the user may subscribe to now;
tokens for configured namespaces come from whoever configured them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from hub.body import Body, Printable
from hub.centrifuge.issuer import Issued, Issuer
from hub.channel_access import may_subscribe
from hub.crm_channels import crm
from hub.errors import Forbidden
from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import TEXT, Named, fields
from hub.requests import VIEWER, only, parse_object, read_object
from hub.responses import respond
from models.resources.kinds import Moment
from models.resources.resource import REQUIRED, Field

#: Longest name of a channel, in characters.
LONGEST_NAME = 255

BODY = Body(Field("channel", Printable(LONGEST_NAME), REQUIRED))
TOKEN = Named("ClientToken", fields(token=TEXT, expires_at=Moment()))

ISSUER = web.AppKey("issuer", Issuer)


class ChannelForbidden(Forbidden):
    """You may not subscribe to this channel."""


@documented(Operation(body=fields(), bodiless=True, answers={200: TOKEN}))
async def connection(request: web.Request) -> web.Response:
    """A token to connect with; there is nothing to say in the body."""
    body = await request.read()
    only(parse_object(body) if body else {}, ())
    return _answer(request.app[ISSUER].connection(str(request[VIEWER].id)))


@documented(Operation(body=BODY.shape, answers={200: TOKEN}, refusals=(ChannelForbidden,)))
async def subscription(request: web.Request) -> web.Response:
    """A token to subscribe to `channel` with."""
    name: str = BODY.read(await read_object(request))["channel"]
    channel = crm(name)
    if channel is None or not await may_subscribe(request[VIEWER], channel):
        raise ChannelForbidden
    return _answer(request.app[ISSUER].subscription(str(request[VIEWER].id), name))


def _answer(issued: Issued) -> web.Response:
    response = respond({"token": issued.token, "expires_at": datetime.fromtimestamp(issued.expires_at, UTC)})
    response.headers["Cache-Control"] = "no-store"
    return response
