"""`POST /connection/http_stream`: an endless body of answers, one a line; with Protobuf, each behind its length."""

from __future__ import annotations

from aiohttp import web

from hub.centrifuge import stream
from hub.centrifuge.json_codec import JsonFormat
from hub.centrifuge.node import NODE
from hub.centrifuge.protobuf_codec import ProtobufFormat
from hub.openapi.operation import Content, Operation, documented

#: What a body of Protobuf is called, both ways.
OCTETS = "application/octet-stream"


def line(message: bytes) -> bytes:
    """A message as a line."""
    return message + b"\n"


JSON = JsonFormat(line)
PROTOBUF = ProtobufFormat(bytes)


def in_protobuf(request: web.Request) -> bool:
    """Whether a body is Protobuf; one that is called nothing, which aiohttp takes for octets, is JSON."""
    return bool(request.headers.get("Content-Type")) and request.content_type == OCTETS


@documented(
    Operation(
        answers={200: Content("application/octet-stream")},
        stream="A response without an end, of the Centrifuge protocol; use an SDK of it.",
    )
)
async def http_stream(request: web.Request) -> web.StreamResponse:
    """A client, for as long as it is connected."""
    limits = request.app[NODE].configuration.http_stream
    if not limits.enabled:
        raise web.HTTPNotFound
    commands = await stream.body(request, limits.max_request_body_size)
    if in_protobuf(request):
        return await stream.serve(request, PROTOBUF, name="http_stream", kind=OCTETS, commands=commands)
    return await stream.serve(request, JSON, name="http_stream", kind="application/json", commands=commands)
