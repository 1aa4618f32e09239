"""`/connection/sse`: answers as events of an EventSource, in JSON."""

from __future__ import annotations

from aiohttp import web

from hub.centrifuge import stream
from hub.centrifuge.json_codec import JsonFormat
from hub.centrifuge.node import NODE
from hub.openapi.operation import Content, Operation, documented
from models.resources.mistakes import Invalid

#: The query parameter with the first commands; an EventSource can send nothing else.
COMMANDS = "cf_connect"

#: What the body is called.
EVENTS = "text/event-stream"

#: The first bytes, which tell proxies and browsers that the stream has begun.
BEGINNING = b"\r\n"


def events(messages: bytes) -> bytes:
    """Messages as events; the lines of a frame are one event each."""
    return b"data: %b\n\n" % messages.replace(b"\n", b"\n\ndata: ")


JSON = JsonFormat(events)


async def commands(request: web.Request, limit: int) -> bytes:
    """What a client says as it comes: in the query, or in a body of at most so many bytes."""
    if request.method == "GET":
        return request.query.get(COMMANDS, "").encode(errors="surrogatepass")
    return await stream.body(request, limit)


@documented(
    Operation(
        answers={200: Content("text/event-stream")},
        stream="Events without an end, of the Centrifuge protocol; use an SDK of it.",
    )
)
async def sse(request: web.Request) -> web.StreamResponse:
    """A client, for as long as it is connected."""
    limits = request.app[NODE].configuration.sse
    if not limits.enabled:
        raise web.HTTPNotFound
    given = await commands(request, limits.max_request_body_size)
    if not given:
        raise Invalid({COMMANDS: ["Give the connect command."]})
    return await stream.serve(request, JSON, name="sse", kind=EVENTS, commands=given, first=BEGINNING)
