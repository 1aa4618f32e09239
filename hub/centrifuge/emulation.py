"""`POST /emulation`: later commands of a client on a stream, which may be connected to another node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from hub.centrifuge import stream
from hub.centrifuge.codec import Emulation, Malformed, WireFormat
from hub.centrifuge.http_stream import JSON, PROTOBUF, in_protobuf
from hub.centrifuge.node import NODE, Node
from hub.centrifuge.stream import OriginForbidden
from hub.errors import NotFound
from hub.openapi.operation import Operation, documented
from models.resources.mistakes import Invalid

#: What a node is asked that owns a session.
HAND = "emulation"


@documented(
    Operation(answers={204: None}, stream="What an SDK sends beside a stream.", refusals=(OriginForbidden, NotFound))
)
async def emulation(request: web.Request) -> web.Response:
    """Hand commands to the client they are from; their answers come on its stream."""
    node = request.app[NODE]
    headers = stream.origin_headers(request)
    body = await stream.body(request, node.configuration.emulation.max_request_body_size)
    format: WireFormat = PROTOBUF if in_protobuf(request) else JSON
    try:
        given = format.emulation(body)
    except Malformed as error:
        raise Invalid({"non_field_errors": [str(error)]}) from None
    if not await _handed(node, given):
        raise NotFound
    return web.Response(status=204, headers=headers)


async def _handed(node: Node, given: Emulation) -> bool:
    """Whether the client was found, here or on its node."""
    if given.node != node.uid:
        content = {"session": given.session, "data": given.data}
        return await node.control.to_node(given.node, HAND, content)
    client = node.sessions_by_id.get(given.session)
    if client is None:
        return False
    await client.hear(given.data)
    return True


async def take(node: Node, content: Mapping[str, Any]) -> bool:
    """Take commands that another node was given; whether their client is here."""
    client = node.sessions_by_id.get(content["session"])
    if client is not None:
        client.hear_soon(content["data"])
    return client is not None
