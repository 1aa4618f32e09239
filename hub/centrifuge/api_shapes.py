"""What commands of the server API say and are answered, for the document. A field that is null counts as not sent.

A test reads each command with every field of its shape, and finds that no other is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.centrifuge.fields import Kind, Many
from hub.centrifuge.schema import MESSAGES
from hub.openapi.shapes import ANYTHING, FLAG, NUMBER, TEXT, Maybe, Named, Shape, by_name, fields, many, nullable
from models.resources.kinds import Schema

_WHOLE: Schema = {"type": "integer", "minimum": 0, "maximum": 2**64 - 1}
_INT: Schema = {"type": "integer", "minimum": -(2**31), "maximum": 2**64 - 1}


def _request(**shapes: Shape) -> Schema:
    """A command; other fields are passed over."""
    found = fields({name: Maybe(nullable(shape) if shape != ANYTHING else shape) for name, shape in shapes.items()})
    return {**found, "additionalProperties": True}


def _any(name: str) -> dict[str, Shape]:
    """A field with any JSON value, or the same in base64."""
    return {name: ANYTHING, f"b64{name}": TEXT}


_WHOSE: dict[str, Shape] = {"user": TEXT, "client": TEXT, "session": TEXT}
_SAID: dict[str, Shape] = {
    **_any("data"),
    "idempotency_key": TEXT,
    "tags": by_name(TEXT),
    "skip_history": FLAG,
    "version": _WHOLE,
    "version_epoch": TEXT,
    "delta": FLAG,
}
_VALUE = _request(value=FLAG)
_OVERRIDE = _request(
    presence=_VALUE,
    join_leave=_VALUE,
    force_push_join_leave=_VALUE,
    force_recovery=_VALUE,
    force_positioning=_VALUE,
)
_CHANNEL: dict[str, Shape] = {"channel": TEXT}
_SINCE: dict[str, Shape] = {"offset": _WHOLE, "epoch": TEXT}

#: By method. What is required is said by the answer, as Centrifugo does.
REQUESTS: Mapping[str, Schema] = {
    "publish": _request(**_CHANNEL, **_SAID),
    "broadcast": _request(channels=many(TEXT), **_SAID),
    "subscribe": _request(
        **_WHOSE,
        **_CHANNEL,
        **_any("info"),
        **_any("data"),
        expire_at=_WHOLE,
        recover_since=_request(**_SINCE),
        override=_OVERRIDE,
    ),
    "unsubscribe": _request(**_WHOSE, **_CHANNEL),
    "disconnect": _request(**_WHOSE, whitelist=many(TEXT), disconnect=_request(code=_WHOLE, reason=TEXT)),
    "refresh": _request(**_WHOSE, **_any("info"), expired=FLAG, expire_at=_WHOLE),
    "history": _request(**_CHANNEL, limit=_INT, since=_request(**_SINCE, time=ANYTHING), reverse=FLAG),
    "history_remove": _request(**_CHANNEL),
    "presence": _request(**_CHANNEL),
    "presence_stats": _request(**_CHANNEL),
    "channels": _request(pattern=TEXT),
    "users": _request(pattern=TEXT),
    "info": _request(),
    "rpc": _request(method=TEXT, params=ANYTHING),
}

ERROR = Named("CommandError", fields(code=NUMBER, message=TEXT))
FAILED = fields(error=ERROR)

_PLACE = fields(offset=NUMBER, epoch=TEXT)
_CLIENTS = by_name(fields(num_clients=NUMBER))
_NODE = fields(
    uid=TEXT,
    name=TEXT,
    version=TEXT,
    num_clients=NUMBER,
    num_users=NUMBER,
    num_subs=NUMBER,
    num_channels=NUMBER,
    uptime=NUMBER,
    process=fields(cpu={"type": "number"}, rss=NUMBER),
)

_KINDS: Mapping[Kind, Schema] = {
    Kind.STRING: TEXT,
    Kind.BOOL: {"type": "boolean"},
    Kind.UINT32: _WHOLE,
    Kind.UINT64: _WHOLE,
    Kind.INT32: _INT,
    Kind.INT64: {"type": "integer"},
    Kind.SINT64: {"type": "integer"},
    Kind.RAW: ANYTHING,
}


def _message(name: str) -> Named:
    """A message of the protocol, in JSON."""
    shapes: dict[str, Any] = {}
    for key, field in MESSAGES[name].fields.items():
        one = _message(field.of) if field.kind is Kind.MESSAGE else _KINDS[field.kind]
        shape = {Many.ONE: lambda one: one, Many.LIST: many, Many.MAP: by_name}[field.many](one)
        shapes[key] = shape if field.always else Maybe(shape)
    return Named(name, fields(shapes))


#: By method: what stands under `result`.
RESULTS: Mapping[str, Shape] = {
    "publish": _PLACE,
    "broadcast": fields(responses=many({"anyOf": [fields(result=_PLACE), FAILED]})),
    **dict.fromkeys(("subscribe", "unsubscribe", "disconnect", "refresh", "history_remove"), fields()),
    "history": _message("HistoryResult"),
    "presence": _message("PresenceResult"),
    "presence_stats": _message("PresenceStatsResult"),
    "channels": fields(channels=_CLIENTS),
    "users": fields(users=_CLIENTS),
    "info": fields(nodes=many(_NODE)),
    "rpc": fields(data=ANYTHING),
}

BATCH = _request(parallel=FLAG, commands=many(_request(**REQUESTS)))
REPLIES = fields(replies=many({"anyOf": [FAILED, by_name(ANYTHING)]}))
