"""`/connection/uni_websocket`, `/connection/uni_sse` and `/connection/uni_http_stream`: for whoever only listens, and
needs no SDK for it.

A client says once who it is, and where it left if it comes back. From then on it is sent pushes, one JSON object each,
first what it was subscribed to; `{}` is a ping, and there is nothing to answer. Why it ends is told by a `disconnect`
push before. It can subscribe to nothing later; a backend may do it by the server API.
"""

from __future__ import annotations

from uuid import uuid4

from aiohttp import web

from hub import frames
from hub.addresses import address
from hub.centrifuge import http_stream, sse, stream, websocket
from hub.centrifuge.client import Client
from hub.centrifuge.codec import Malformed
from hub.centrifuge.node import NODE
from hub.centrifuge.push_codec import PushFormat
from hub.transport import Transport
from models.resources.mistakes import Invalid

#: One object for each way to frame a push.
MESSAGES, EVENTS, LINES = PushFormat(frames.text), PushFormat(sse.events), PushFormat(http_stream.line)


async def uni_websocket(request: web.Request) -> web.StreamResponse:
    """A client whose connect request is in the query or the first message; what it sends after that is ignored."""
    node = request.app[NODE]
    settings, limits = node.configuration.client, node.configuration.uni_websocket
    if not limits.enabled:
        raise web.HTTPNotFound
    given = request.query.get(sse.COMMANDS, "")
    if given:
        _check(given.encode(errors="surrogatepass"))
    stream.admit(request)
    # A client that has gone answers no ping of the protocol either, so the socket has pings of its own.
    socket = web.WebSocketResponse(
        compress=False, heartbeat=settings.ping_interval, max_msg_size=limits.message_size_limit
    )
    await socket.prepare(request)
    farewell = None if limits.disable_disconnect_push else MESSAGES.farewell
    transport = Transport(socket, request, farewell=farewell)
    client = Client(
        node,
        transport,
        MESSAGES,
        name="uni_websocket",
        address=address(request),
        session_id=str(uuid4()),
        unidirectional=True,
    )
    await websocket.converse(client, transport, socket, first=given)
    return socket


async def uni_sse(request: web.Request) -> web.StreamResponse:
    """A client whose connect request is in the query, where none is an empty one, or in the body."""
    limits = request.app[NODE].configuration.uni_sse
    if not limits.enabled:
        raise web.HTTPNotFound
    given = await sse.commands(request, limits.max_request_body_size)
    if request.method == "GET":
        given = given or b"{}"
    _check(given)
    return await stream.serve(
        request, EVENTS, name="uni_sse", kind=sse.EVENTS, commands=given, first=sse.BEGINNING, unidirectional=True
    )


async def uni_http_stream(request: web.Request) -> web.StreamResponse:
    """A client whose connect request is the body."""
    limits = request.app[NODE].configuration.uni_http_stream
    if not limits.enabled:
        raise web.HTTPNotFound
    given = await stream.body(request, limits.max_request_body_size)
    _check(given)
    return await stream.serve(
        request, LINES, name="uni_http_stream", kind="application/json", commands=given, unidirectional=True
    )


def _check(given: bytes) -> None:
    """Raise Invalid for what is no connect request, while there is a status to say it with."""
    try:
        LINES.decode(given)
    except Malformed as error:
        raise Invalid({"non_field_errors": [f"This is no connect request: {error}."]}) from None
