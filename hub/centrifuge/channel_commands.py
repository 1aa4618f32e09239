"""What a client asks of a channel beside listening to it: publish, history, presence."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from hub.centrifuge import permissions
from hub.centrifuge.codec import Content
from hub.centrifuge.codes import BAD_ARGUMENTS, INTERNAL_ERROR, LIMIT_EXCEEDED, NOT_AVAILABLE, Refused
from hub.centrifuge.publications import client_content
from hub.publish import OutcomeUnknown, Publish
from streams.envelope import LARGEST_DATA

if TYPE_CHECKING:
    from hub.centrifuge.client import Client


async def publish(client: Client, request: Content) -> Content:
    """Put a publication on the log; answered when it is there."""
    channel, data = request["channel"], request["data"]
    permissions.publish(client, channel)
    if not data:
        raise Refused(BAD_ARGUMENTS)
    if len(data) > LARGEST_DATA:
        raise Refused(LIMIT_EXCEEDED)
    try:
        await client.node.publisher.send(Publish(channel=channel, payload=data, id=str(uuid4())))
    except OutcomeUnknown as error:
        raise Refused(INTERNAL_ERROR) from error
    return {}


async def history(client: Client, request: Content) -> Content:
    """Read a channel back."""
    permissions.history(client, request["channel"])
    raise Refused(NOT_AVAILABLE)


async def presence(client: Client, request: Content) -> Content:
    """Who is there."""
    permissions.presence(client, request["channel"])
    there = client.node.presence.of(request["channel"])
    return {"presence": {id: client_content(client.format, info) for id, info in there.items()}}


async def presence_stats(client: Client, request: Content) -> Content:
    """How many are there."""
    permissions.presence(client, request["channel"])
    clients, users = client.node.presence.stats(request["channel"])
    return {"num_clients": clients, "num_users": users}
