"""What the server API has done to clients, wherever they are connected: every node is told, each does its part.

An order names a user, and may name one client or session of theirs; what is not found here is another node's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

import orjson
import structlog

from actors.closes import Close
from hub.centrifuge import codes
from hub.centrifuge.claims import Override, SubscriptionOptions
from hub.centrifuge.client import Client
from hub.centrifuge.codes import Refused
from hub.centrifuge.node import Node
from hub.centrifuge.permissions import Grant
from hub.centrifuge.subscriptions import NOTHING_ASKED, expiry_of

log = structlog.get_logger()

#: What of a subscription's result a client is told that did not ask for it.
TOLD = ("recoverable", "positioned", "epoch", "offset", "data")

Content = Mapping[str, Any]
Order = Callable[[Node, Content], Awaitable[None]]


async def subscribe(node: Node, content: Content) -> None:
    """Subscribe clients to a channel; they are told by a push."""
    options = SubscriptionOptions(
        info=_json(content, "info"), data=_json(content, "data"), override=_override(content.get("override"))
    )
    grant = Grant(expires_at=content.get("expire_at") or None, options=options)
    since = content.get("recover_since")
    request = {**NOTHING_ASKED, **({"recover": True, **since} if since else {})}
    for client in _meant(node, content):
        client.order(partial(_subscribe, client, content["channel"], grant, request))


async def unsubscribe(node: Node, content: Content) -> None:
    """End the subscriptions of clients to a channel, or to all when none is named."""
    for client in _meant(node, content):
        client.order(partial(_unsubscribe, client, content.get("channel", "")))


async def disconnect(node: Node, content: Content) -> None:
    """Close connections, but for those in `whitelist`."""
    given = content.get("disconnect") or {}
    close = Close(given["code"], given.get("reason", "")) if given.get("code") else codes.GONE
    for client in _meant(node, content):
        if client.id not in (content.get("whitelist") or ()):
            client.end(close)


async def refresh(node: Node, content: Content) -> None:
    """Set when connections end, or end them now; and what others are shown about them."""
    for client in _meant(node, content):
        client.order(partial(_refresh, client, content))


async def supersede(node: Node, content: Content) -> None:
    """Close a user's connections that came before a new one."""
    for client in node.clients.of_user(content["user"]):
        if client.came < (content["at"], content["client"]):
            client.end(codes.CONNECTION_LIMIT)


ORDERS: Mapping[str, Order] = {
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "disconnect": disconnect,
    "refresh": refresh,
    "supersede": supersede,
}


def _meant(node: Node, content: Content) -> list[Client]:
    """The clients of this node an order is about."""
    user, id, session = (content.get(name, "") for name in ("user", "client", "session"))
    if id:
        one = node.clients.get(id)
        found = [] if one is None or (user and one.user != user) else [one]
    else:
        found = node.clients.of_user(user)
    return [client for client in found if not session or client.session_id == session]


async def _subscribe(client: Client, channel: str, grant: Grant, request: Content) -> None:
    if channel in client.subscriptions:
        return
    client.session.hold()
    told = b""
    try:
        result = await client.subscriptions.begin_one_by_server(channel, grant, request)
        shown = {name: result[name] for name in TOLD if name in result}
        told = client.format.frame(client.format.push(channel, "subscribe", shown))
    except Refused as refused:  # the API has answered long ago
        log.info("subscribe_order_refused", channel=channel, user=client.user, error=refused.error.message)
    finally:
        client.session.release(told)


async def _unsubscribe(client: Client, channel: str) -> None:
    for one in [channel] if channel else client.subscriptions:
        await client.subscriptions.end(one, codes.UNSUBSCRIBED)


async def _refresh(client: Client, content: Content) -> None:
    if content.get("expired"):
        client.end(codes.EXPIRED)
        return
    expires_at = content.get("expire_at") or None
    if expires_at is not None and expires_at <= time.time():
        client.end(codes.EXPIRED)
        return
    assert client.identity is not None
    info = _json(content, "info")
    client.renew(replace(client.identity, expires_at=expires_at, info=client.identity.info if info is None else info))
    client.push("", "refresh", expiry_of(expires_at))


def _json(content: Content, name: str) -> bytes | None:
    return orjson.dumps(content[name]) if content.get(name) is not None else None


def _override(given: Content | None) -> Override:
    values = {one.name: (given or {}).get(one.name) for one in fields(Override)}
    return Override(**{name: bool(value.get("value")) for name, value in values.items() if value is not None})
