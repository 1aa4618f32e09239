"""`/connection/websocket`: the protocol on a WebSocket, in JSON or Protobuf."""

from __future__ import annotations

from aiohttp import WSMsgType, web

from hub import connections
from hub.addresses import address
from hub.centrifuge import codes
from hub.centrifuge.client import Client
from hub.centrifuge.codec import WireFormat
from hub.centrifuge.json_codec import CENTRIFUGE_JSON
from hub.centrifuge.node import NODE
from hub.centrifuge.protobuf_codec import CENTRIFUGE_PROTOBUF
from hub.centrifuge.stream import admit
from hub.ending import complete
from hub.transport import Transport

#: The subprotocol by which a client asks for Protobuf; it must be given back.
PROTOBUF = "centrifuge-protobuf"
#: Query parameters by which it may ask, too; the second is an older name.
FORMATS = ("cf_protocol", "format")
#: Asks for pings of WebSocket itself, for tools that cannot answer ours.
NATIVE_PINGS = "cf_ws_frame_ping_pong"


async def websocket(request: web.Request) -> web.StreamResponse:
    """A client, for as long as it is connected."""
    node = request.app[NODE]
    settings, limits = node.configuration.client, node.configuration.websocket
    if limits.disabled:
        raise web.HTTPNotFound
    admit(request)
    offered = PROTOBUF in request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
    format: WireFormat = CENTRIFUGE_JSON
    if offered or "protobuf" in [request.query.get(name) for name in FORMATS]:
        format = CENTRIFUGE_PROTOBUF
    native = request.query.get(NATIVE_PINGS) == "true"
    socket = web.WebSocketResponse(
        compress=False,
        heartbeat=settings.ping_interval if native else None,
        max_msg_size=limits.message_size_limit,
        protocols=(PROTOBUF,) if offered else (),
    )
    await socket.prepare(request)
    transport = Transport(socket, request)
    client = Client(node, transport, format, name="websocket", address=address(request), pings=not native)
    await converse(client, transport, socket)
    return socket


async def converse(client: Client, transport: Transport, socket: web.WebSocketResponse, *, first: str = "") -> None:
    """Hand on what comes until the socket ends, after what came with the request."""
    transport.pipe.drained = client.session.resumed
    connections.opened(client.transport)
    try:
        if first:
            await client.hear(first)
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                client.end(codes.BAD_REQUEST)
                continue
            await client.hear(message.data)
    finally:
        await complete(_leave(client, transport, socket))


async def _leave(client: Client, transport: Transport, socket: web.WebSocketResponse) -> None:
    await client.leave()
    await transport.ended()
    connections.ended(client.transport, transport.code or socket.close_code)
