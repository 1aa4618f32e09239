"""Calls that clients make by name: the command `rpc`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from hub import timeline
from hub.centrifuge.codec import Content
from hub.centrifuge.codes import BAD_ARGUMENTS, METHOD_NOT_FOUND, PERMISSION_DENIED, Refused
from hub.pages import Part
from hub.reading import mark_read
from models.access import Viewer
from models.resources.kinds import SERIAL, Integer
from models.resources.mistakes import Mistake
from models.wire import dump

if TYPE_CHECKING:
    from hub.centrifuge.client import Client

#: (client, its user in the CRM, arguments) -> the answer, as JSON can have it. Raises Refused.
Call = Callable[["Client", Viewer, Mapping[str, Any]], Awaitable[Any]]


async def call(client: Client, request: Content) -> Content:
    """Make a call for a user of the CRM. Arguments are a JSON object, or nothing."""
    method = METHODS.get(request["method"])
    if method is None:
        raise Refused(METHOD_NOT_FOUND)
    viewer = await client.viewer()
    if viewer is None:
        raise Refused(PERMISSION_DENIED)
    try:
        arguments = orjson.loads(request["data"] or b"{}")
    except orjson.JSONDecodeError:
        raise Refused(BAD_ARGUMENTS) from None
    if not isinstance(arguments, dict):
        raise Refused(BAD_ARGUMENTS)
    return {"data": dump(await method(client, viewer, arguments))}


async def _timeline(client: Client, viewer: Viewer, arguments: Mapping[str, Any]) -> Any:
    """The timeline of a record: `entity_type`, `entity_id`, and optionally `limit` and `page`."""
    entity = arguments.get("entity_type")
    try:
        key = SERIAL.read(arguments.get("entity_id"))
        size = Integer(1, timeline.LARGEST_LIMIT).read(arguments.get("limit", timeline.DEFAULT_LIMIT))
        number = Integer(1, 1_000_000).read(arguments.get("page", 1))
    except Mistake:
        raise Refused(BAD_ARGUMENTS) from None
    if not isinstance(entity, str) or arguments.keys() - {"entity_type", "entity_id", "limit", "page"}:
        raise Refused(BAD_ARGUMENTS)
    try:
        part = Part(number=number, size=size)
        return await timeline.record(client.node.pool, client.node.definitions.now, viewer, entity, key, part)
    except timeline.NoTimeline:
        raise Refused(PERMISSION_DENIED) from None


async def _mark_read(client: Client, viewer: Viewer, arguments: Mapping[str, Any]) -> Any:
    """Note that a notification was read: `notification_id`."""
    mistake = await mark_read(viewer, arguments.get("notification_id"), remote=client.address)
    if mistake is not None:
        raise Refused(BAD_ARGUMENTS._replace(message=mistake))
    return {}


METHODS: Mapping[str, Call] = {"timeline": _timeline, "mark_read": _mark_read}
