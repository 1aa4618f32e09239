"""What a node does when another says so: orders of the server API, commands for its streams, news of who is present."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from aiohttp import web

from actors.presence import ClientInfo
from hub.centrifuge import emulation, orders
from hub.centrifuge.client_info import client_content
from hub.centrifuge.codec import Push, WireFormat
from hub.centrifuge.node import NODE, Node


async def keep(app: web.Application) -> AsyncIterator[None]:
    """Have all of it done, while the application runs."""
    node = app[NODE]
    for name, order in orders.ORDERS.items():
        node.control.on(name, partial(order, node))
    node.control.on(emulation.HAND, partial(emulation.take, node))
    node.control.on("channels", partial(_counts, node.clients.channels))
    node.control.on("users", partial(_counts, node.clients.by_user))
    node.presence.watch(partial(_tell, node, "join"), partial(_tell, node, "leave"))
    yield


async def _counts(clients: Callable[[], Mapping[str, int]], content: Mapping[str, Any]) -> dict[str, int]:
    """How many clients each has here, of the channels or users whose name fits the pattern."""
    pattern = content.get("pattern") or "*"
    return {name: count for name, count in clients().items() if fnmatchcase(name, pattern)}


def _tell(node: Node, kind: Push, channel: str, info: ClientInfo) -> None:
    """Tell the clients here that want to know it who joined a channel or left it."""
    frames: dict[WireFormat, bytes] = {}
    for client in node.clients.on(channel):
        subscription = client.subscriptions[channel]
        if subscription.begun and subscription.told:
            format = client.format
            if format not in frames:
                frames[format] = format.frame(format.push(channel, kind, {"info": client_content(format, info)}))
            client.session.send(frames[format])
