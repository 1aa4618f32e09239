"""Tokens for the Centrifuge SDKs: `POST /api/v1/connection-token/` and `/api/v1/subscription-token/`.

Both are for the user who asks. A token for a channel is given for those of the CRM that the user may subscribe to now;
tokens for configured namespaces come from whoever configured them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from hub.centrifuge.issuer import Issued, Issuer
from hub.channel_access import may_subscribe
from hub.crm_channels import crm
from hub.errors import Forbidden
from hub.requests import VIEWER, only, parse_object
from hub.responses import respond
from models.resources.mistakes import Invalid

#: Longest name of a channel, in characters.
LONGEST_NAME = 255

ISSUER = web.AppKey("issuer", Issuer)


class ChannelForbidden(Forbidden):
    """You may not subscribe to this channel."""


async def connection(request: web.Request) -> web.Response:
    """A token to connect with; there is nothing to say in the body."""
    body = await request.read()
    only(parse_object(body) if body else {}, ())
    return _answer(request.app[ISSUER].connection(str(request[VIEWER].id)))


async def subscription(request: web.Request) -> web.Response:
    """A token to subscribe to `channel` with."""
    body = parse_object(await request.read())
    only(body, ("channel",))
    name = body.get("channel")
    if name is None:
        raise Invalid({"channel": ["This field is required."]})
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise Invalid({"channel": [f"Must be 1 to {LONGEST_NAME} characters."]})
    channel = crm(name)
    if channel is None or not await may_subscribe(request[VIEWER], channel):
        raise ChannelForbidden
    return _answer(request.app[ISSUER].subscription(str(request[VIEWER].id), name))


def _answer(issued: Issued) -> web.Response:
    response = respond({"token": issued.token, "expires_at": datetime.fromtimestamp(issued.expires_at, UTC)})
    response.headers["Cache-Control"] = "no-store"
    return response
