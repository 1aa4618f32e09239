"""The server API's methods that change nothing, and `history_remove`, which may not."""

from __future__ import annotations

from time import time as now
from typing import Any

import orjson
from aiokafka.errors import KafkaError

from actors.kernel import ActorError
from actors.log import Position
from actors.presence import NodeInfo
from hub import channel_history
from hub.centrifuge.api_parts import Api, Call, Result
from hub.centrifuge.api_request import ApiError, Given, bad
from hub.centrifuge.client_info import client_content
from hub.centrifuge.codec import publication_content
from hub.centrifuge.codes import INTERNAL_ERROR, METHOD_NOT_FOUND, NOT_AVAILABLE, UNRECOVERABLE_POSITION
from hub.centrifuge.json_codec import CENTRIFUGE_JSON, dumps
from hub.centrifuge.moments import moment
from hub.centrifuge.schema import MESSAGES
from hub.channel_history import Unrecoverable
from hub.scan import ScanError

#: Publications of one answer; who wants more goes on from the last.
LONGEST_HISTORY = 10_000

KEPT = NOT_AVAILABLE._replace(message="not available: history is the log, which forgets by itself")


def history(given: Given) -> Call:
    """What was said in a channel. A `limit` below 0 wants all of it, 0 only where the channel stands.

    `since` is a place, as in Centrifugo, or `{"time": ...}`, from which on everything is wanted: a text as ISO 8601 has
    it, with its offset from UTC, or Unix milliseconds.
    """
    channel, limit = given.text("channel"), given.whole("limit", least=-(2**31))
    since, reverse = given.object("since"), given.flag("reverse")
    place = None if since is None else Position(since.text("epoch"), since.whole("offset"))
    time = None if since is None else _moment(since)
    if time is not None and reverse:
        raise bad("since.time goes forwards only")

    async def call(api: Api) -> Result:
        if not api.options(channel).history_size:
            raise ApiError(NOT_AVAILABLE)
        try:
            begin = place if time is None else await channel_history.place_at(api.log, channel, time)
            top, found = await channel_history.read(
                api.log,
                channel,
                None,
                since=begin,
                limit=None if limit < 0 else limit,
                reverse=reverse,
                most=LONGEST_HISTORY,
            )
        except Unrecoverable:
            raise ApiError(UNRECOVERABLE_POSITION) from None
        except (ScanError, ActorError, KafkaError):
            raise ApiError(INTERNAL_ERROR) from None
        publications = [publication_content(publication) for publication in found]
        return _json("HistoryResult", {"publications": publications, "epoch": top.epoch, "offset": top.offset})

    return call


def history_remove(given: Given) -> Call:
    """Refused. What was said is on the log: other systems have read it, and clients count on its numbers."""
    channel = given.text("channel")

    async def call(api: Api) -> Result:
        api.options(channel)
        raise ApiError(KEPT)

    return call


def presence(given: Given) -> Call:
    """Who is in a channel."""
    channel = given.text("channel")

    async def call(api: Api) -> Result:
        if not api.options(channel).presence:
            raise ApiError(NOT_AVAILABLE)
        clients = {client: client_content(CENTRIFUGE_JSON, info) for client, info in api.presence.of(channel).items()}
        return _json("PresenceResult", {"presence": clients})

    return call


def presence_stats(given: Given) -> Call:
    """How many clients and users are in a channel."""
    channel = given.text("channel")

    async def call(api: Api) -> Result:
        if not api.options(channel).presence:
            raise ApiError(NOT_AVAILABLE)
        clients, users = api.presence.stats(channel)
        return {"num_clients": clients, "num_users": users}

    return call


def channels(given: Given) -> Call:
    """The channels somebody listens to, on any node, that match the glob `pattern`; all of them if it is empty."""
    return _clients_by("channels", given.text("pattern"))


def users(given: Given) -> Call:
    """The users who are connected, to any node, whose ids match the glob `pattern`; all of them if it is empty."""
    return _clients_by("users", given.text("pattern"))


def _clients_by(what: str, pattern: str) -> Call:
    """How many clients each has, over all nodes."""

    async def call(api: Api) -> Result:
        clients: dict[str, int] = {}
        for answer in (await api.control.survey(what, {"pattern": pattern})).values():
            for name, count in answer.items():
                clients[name] = clients.get(name, 0) + count
        return {what: {name: {"num_clients": count} for name, count in clients.items()}}

    return call


def info(_given: Given) -> Call:
    """The nodes there are. Their metrics are at /metrics of each."""

    async def call(api: Api) -> Result:
        return {"nodes": [_node(node) for node in api.control.nodes().values()]}

    return call


def rpc(given: Given) -> Call:
    """Call one of the hub's own methods by its name."""
    method, params = given.text("method"), given.any("params")
    if not method:
        raise bad("method is required")

    async def call(api: Api) -> Result:
        if method not in api.rpc:
            raise ApiError(METHOD_NOT_FOUND)
        return {"data": await api.rpc[method](params)}

    return call


def _moment(since: Given) -> int | None:
    """Unix milliseconds of a time to begin at, None if there is none. Raises ApiError."""
    if not (given := since.any("time")):
        return None
    try:
        return moment(given)
    except ValueError:
        raise bad("since.time must be a time such as 2026-01-31T09:30:00+01:00, or Unix milliseconds") from None


def _json(message: str, content: dict[str, Any]) -> Result:
    return orjson.Fragment(dumps(MESSAGES[message], content))


def _node(node: NodeInfo) -> Result:
    return {
        "uid": node.uid,
        "name": node.name,
        "version": node.version,
        "num_clients": node.num_clients,
        "num_users": node.num_users,
        "num_subs": node.num_subs,
        "num_channels": node.num_channels,
        "uptime": max(0, int(now() - node.started)),
        "process": {"cpu": node.cpu, "rss": node.rss},
    }
