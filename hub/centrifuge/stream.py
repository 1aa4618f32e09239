"""What the two streams share: `/connection/sse` and `/connection/http_stream`, whose clients cannot send on them.

The first commands come with the request; later ones by POST to `/emulation`, at whichever node they arrive. A response
without an end carries the answers; why it ends is told by a `disconnect` push before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from uuid import uuid4

from aiohttp import web

from hub import connections
from hub.addresses import address
from hub.centrifuge.client import Client
from hub.centrifuge.codec import WireFormat
from hub.centrifuge.node import NODE
from hub.ending import complete
from hub.errors import Forbidden, TooLarge, Unavailable
from hub.pipe import Pipe

#: No cache and no proxy may hold answers back.
HEADERS = {"Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0", "X-Accel-Buffering": "no"}

#: Seconds a client has to take the last of what it was told.
CLOSE_GRACE = 5.0


class OriginForbidden(Forbidden):
    """This web page may not connect: its origin is not in client.allowed_origins."""


class StreamTransport:
    """A response without an end. Its body is chunked by hand, so that a ready frame is written as it is."""

    def __init__(self, request: web.Request, format: WireFormat) -> None:
        self.pipe = Pipe(request)
        #: Set when it is to end.
        self.closing = asyncio.Event()
        #: Why it ended; 1006 if the client just went.
        self.code = 1006
        self._format = format

    def write(self, data: bytes) -> None:
        """Send one or more ready frames."""
        if data and not self.closing.is_set():
            self.pipe.write(b"%x\r\n%b\r\n" % (len(data), data))

    def writable(self) -> bool:
        """Whether the client keeps up."""
        return not self.closing.is_set() and self.pipe.writable()

    def close(self, code: int, reason: str) -> None:
        """Say why, and end. The first call decides."""
        if not self.closing.is_set():
            self.write(self._format.farewell(code, reason))
            self.code = code
            self.closing.set()


def origin_headers(request: web.Request) -> Mapping[str, str]:
    """What lets a web page of an allowed origin read the answer. Raises OriginForbidden."""
    origin = request.headers.get("Origin")
    if not request.app[NODE].origins.allows(origin):
        raise OriginForbidden
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"} if origin else {}


async def preflight(request: web.Request) -> web.Response:
    """Tell a browser that a web page of an allowed origin may send what it is about to."""
    headers = {**origin_headers(request), "Access-Control-Allow-Methods": "GET, POST, OPTIONS"}
    if asked := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = asked
    headers["Access-Control-Max-Age"] = "300"
    return web.Response(status=204, headers=headers)


def admit(request: web.Request) -> Mapping[str, str]:
    """Let one more client in; what lets its web page read the answer. Raises OriginForbidden or Unavailable."""
    node, headers = request.app[NODE], origin_headers(request)
    if not node.fold.ready:
        raise Unavailable("This node is still reading the log; try again.")
    node.admit()
    return headers


async def body(request: web.Request, limit: int) -> bytes:
    """All of a request's body, in whatever pieces it comes. Raises TooLarge, HTTPRequestTimeout."""
    found = bytearray()
    try:
        async with asyncio.timeout(request.app[NODE].configuration.client.stale_close_delay):
            while piece := await request.content.readany():
                found += piece
                if len(found) > limit:
                    raise TooLarge(limit)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(found)


async def serve(
    request: web.Request,
    format: WireFormat,
    *,
    name: str,
    kind: str,
    commands: bytes,
    first: bytes = b"",
    unidirectional: bool = False,
) -> web.StreamResponse:
    """A client, for as long as it is connected. `first` is written before any answer; a unidirectional client has no
    more commands than these.
    """
    node = request.app[NODE]
    headers = {**HEADERS, **admit(request), "Content-Type": kind}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    transport = StreamTransport(request, format)
    transport.write(first)
    client = Client(
        node,
        transport,
        format,
        name=name,
        address=address(request),
        session_id=str(uuid4()),
        unidirectional=unidirectional,
    )
    transport.pipe.drained = client.session.resumed
    connections.opened(name)
    try:
        with nullcontext() if unidirectional else node.emulated(client):
            await client.hear(commands)
            await transport.closing.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_GRACE):
                await response.write_eof()
    finally:
        await complete(_leave(client, transport))
    return response


async def _leave(client: Client, transport: StreamTransport) -> None:
    await client.leave()
    await transport.pipe.ended(CLOSE_GRACE)
    connections.ended(client.transport, transport.code)
