"""What a client asks of a channel beside listening to it: publish, history, presence."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import orjson
from aiokafka.errors import KafkaError

from actors.kernel import ActorError
from actors.log import Position
from hub import channel_history
from hub.centrifuge import codes, permissions
from hub.centrifuge.client_info import client_content, client_json
from hub.centrifuge.codec import Content, publication_content
from hub.centrifuge.codes import Refused
from hub.centrifuge.moments import BY_TIME, LATEST
from hub.publish import OutcomeUnknown, Publish
from hub.scan import ScanError
from streams.envelope import LARGEST_DATA

if TYPE_CHECKING:
    from hub.centrifuge.client import Client

#: Publications of one answer where nothing else is configured.
MOST = 10_000


async def publish(client: Client, request: Content) -> Content:
    """Put a publication on the log; answered when it is there."""
    channel, data = request["channel"], request["data"]
    permissions.publish(client, channel)
    if not data:
        raise Refused(codes.BAD_ARGUMENTS)
    if len(data) > LARGEST_DATA:
        raise Refused(codes.LIMIT_EXCEEDED)
    subscription = client.subscriptions.get(channel)
    info = client.info(None if subscription is None else subscription.options.info)
    wanted = Publish(
        channel=channel,
        payload=data,
        id=str(uuid4()),
        info=orjson.dumps(client_json(info)),
        delta=permissions.options_of(client, channel).delta_publish,
    )
    try:
        await client.node.publisher.send(wanted)
    except OutcomeUnknown as error:
        raise Refused(codes.INTERNAL_ERROR) from error
    return {}


async def history(client: Client, request: Content) -> Content:
    """Read a channel back. With the epoch BY_TIME, from a time on."""
    channel, limit, since = request["channel"], request["limit"], request["since"]
    permissions.history(client, channel)
    place = None if since is None else Position(since["epoch"], since["offset"])
    log = client.node.fold
    try:
        if place is not None and place.epoch == BY_TIME:
            if request["reverse"] or place.offset > LATEST:
                raise Refused(codes.BAD_ARGUMENTS)
            place = await channel_history.place_at(log, channel, place.offset)
        top, found = await channel_history.read(
            log,
            channel,
            client.session.admits,
            since=place,
            limit=None if limit < 0 else limit,
            reverse=request["reverse"],
            most=client.node.configuration.client.history_max_publication_limit or MOST,
        )
    except channel_history.Unrecoverable:
        raise Refused(codes.UNRECOVERABLE_POSITION) from None
    except (ActorError, ScanError, KafkaError) as error:
        raise Refused(codes.INTERNAL_ERROR) from error
    return {"publications": [publication_content(one) for one in found], "epoch": top.epoch, "offset": top.offset}


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
