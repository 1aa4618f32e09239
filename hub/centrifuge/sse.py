"""`/connection/sse`: answers as events of an EventSource, in JSON."""

from __future__ import annotations

from aiohttp import web

from hub.centrifuge import stream
from hub.centrifuge.json_codec import JsonFormat
from hub.centrifuge.node import NODE
from hub.errors import Invalid

#: The query parameter with the first commands; an EventSource can send nothing else.
COMMANDS = "cf_connect"


def _events(messages: bytes) -> bytes:
    return b"data: %b\n\n" % messages.replace(b"\n", b"\n\ndata: ")


JSON = JsonFormat(_events)


async def sse(request: web.Request) -> web.StreamResponse:
    """A client, for as long as it is connected."""
    limits = request.app[NODE].configuration.sse
    if not limits.enabled:
        raise web.HTTPNotFound
    if request.method == "GET":
        commands = request.query.get(COMMANDS, "").encode(errors="surrogatepass")
    else:
        commands = await stream.body(request, limits.max_request_body_size)
    if not commands:
        raise Invalid({COMMANDS: ["Give the connect command."]})
    # The first bytes tell proxies and browsers that the stream has begun.
    return await stream.serve(request, JSON, name="sse", kind="text/event-stream", commands=commands, first=b"\r\n")
