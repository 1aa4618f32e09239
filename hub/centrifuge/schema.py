"""The messages of the protocol, version 2: one table for both wire formats.

Names are those of the JSON form; numbers and types are those of the Protobuf form. RAW is a payload nobody here looks
into: bytes in Protobuf, any embedded JSON value in JSON. A field that was not sent has its type's zero; so has one
sent as zero, which neither format can always tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from hub.centrifuge.fields import Field, Kind, Many, Message


def _field(kind: Kind, number: int) -> Field:
    return Field(number=number, kind=kind)


_string = partial(_field, Kind.STRING)
_bool = partial(_field, Kind.BOOL)
_uint32 = partial(_field, Kind.UINT32)
_uint64 = partial(_field, Kind.UINT64)
_int32 = partial(_field, Kind.INT32)
_int64 = partial(_field, Kind.INT64)
_sint64 = partial(_field, Kind.SINT64)
_raw = partial(_field, Kind.RAW)


def _message(number: int, of: str) -> Field:
    return Field(number=number, kind=Kind.MESSAGE, of=of)


def _list(one: Field) -> Field:
    return replace(one, many=Many.LIST)


def _map(one: Field) -> Field:
    return replace(one, many=Many.MAP)


def _always(one: Field) -> Field:
    return replace(one, always=True)


_FIELDS: dict[str, dict[str, Field]] = {
    # What clients send.
    "Command": {
        "id": _uint32(1),
        "connect": _message(4, "ConnectRequest"),
        "subscribe": _message(5, "SubscribeRequest"),
        "unsubscribe": _message(6, "UnsubscribeRequest"),
        "publish": _message(7, "PublishRequest"),
        "presence": _message(8, "PresenceRequest"),
        "presence_stats": _message(9, "PresenceStatsRequest"),
        "history": _message(10, "HistoryRequest"),
        "ping": _message(11, "PingRequest"),
        "send": _message(12, "SendRequest"),
        "rpc": _message(13, "RPCRequest"),
        "refresh": _message(14, "RefreshRequest"),
        "sub_refresh": _message(15, "SubRefreshRequest"),
    },
    "ConnectRequest": {
        "token": _string(1),
        "data": _raw(2),
        "subs": _map(_message(3, "SubscribeRequest")),
        "name": _string(4),
        "version": _string(5),
        "headers": _map(_string(6)),
        "flag": _int64(7),
        "dict": _string(8),
        "profile": _string(9),
    },
    "SubscribeRequest": {
        "channel": _string(1),
        "token": _string(2),
        "recover": _bool(3),
        "epoch": _string(6),
        "offset": _uint64(7),
        "data": _raw(8),
        "positioned": _bool(9),
        "recoverable": _bool(10),
        "join_leave": _bool(11),
        "delta": _string(12),
        "tf": _message(13, "FilterNode"),
        "flag": _int64(14),
        "type": _int32(15),
        "phase": _int32(16),
        "cursor": _string(17),
        "limit": _int32(18),
        "asc": _bool(19),
    },
    "FilterNode": {
        "op": _string(1),
        "key": _string(2),
        "cmp": _string(3),
        "val": _string(4),
        "vals": _list(_string(5)),
        "nodes": _list(_message(6, "FilterNode")),
    },
    "UnsubscribeRequest": {"channel": _string(1)},
    "PublishRequest": {
        "channel": _string(1),
        "data": _raw(2),
        "type": _int32(3),
        "key": _string(4),
        "removed": _bool(5),
    },
    "PresenceRequest": {"channel": _string(1)},
    "PresenceStatsRequest": {"channel": _string(1)},
    "HistoryRequest": {
        "channel": _string(1),
        "limit": _int32(7),
        "since": _message(8, "StreamPosition"),
        "reverse": _bool(9),
    },
    "StreamPosition": {"offset": _uint64(1), "epoch": _string(2)},
    "PingRequest": {},
    "SendRequest": {"data": _raw(1)},
    "RPCRequest": {"data": _raw(1), "method": _string(2)},
    "RefreshRequest": {"token": _string(1)},
    "SubRefreshRequest": {
        "channel": _string(1),
        "token": _string(2),
        "type": _int32(3),
        "track": _list(_message(4, "TrackBatch")),
        "untrack": _list(_string(5)),
    },
    "TrackBatch": {"signature": _string(1), "items": _list(_message(2, "KeyedItem"))},
    "KeyedItem": {"key": _string(1), "version": _uint64(2)},
    "EmulationRequest": {"node": _string(1), "session": _string(2), "data": _raw(3)},
    # What the server answers.
    "Reply": {
        "id": _uint32(1),
        "error": _message(2, "Error"),
        "push": _message(4, "Push"),
        "connect": _message(5, "ConnectResult"),
        "subscribe": _message(6, "SubscribeResult"),
        "unsubscribe": _message(7, "UnsubscribeResult"),
        "publish": _message(8, "PublishResult"),
        "presence": _message(9, "PresenceResult"),
        "presence_stats": _message(10, "PresenceStatsResult"),
        "history": _message(11, "HistoryResult"),
        "ping": _message(12, "PingResult"),
        "rpc": _message(13, "RPCResult"),
        "refresh": _message(14, "RefreshResult"),
        "sub_refresh": _message(15, "SubRefreshResult"),
    },
    "Error": {"code": _uint32(1), "message": _string(2), "temporary": _bool(3)},
    "ConnectResult": {
        "client": _always(_string(1)),
        "version": _always(_string(2)),
        "expires": _bool(3),
        "ttl": _uint32(4),
        "data": _raw(5),
        "subs": _map(_message(6, "SubscribeResult")),
        "ping": _uint32(7),
        "pong": _bool(8),
        "session": _string(9),
        "node": _string(10),
        "time": _int64(11),
        "flag": _int64(12),
        "dict": _message(13, "Dictionary"),
    },
    "Dictionary": {"id": _string(1), "data": _raw(2), "data_b64": _string(3)},
    "SubscribeResult": {
        "expires": _bool(1),
        "ttl": _uint32(2),
        "recoverable": _bool(3),
        "epoch": _string(6),
        "publications": _list(_message(7, "Publication")),
        "recovered": _bool(8),
        "offset": _uint64(9),
        "positioned": _bool(10),
        "data": _raw(11),
        "was_recovering": _bool(12),
        "delta": _bool(13),
        "id": _int64(14),
        "type": _int32(15),
        "phase": _int32(16),
        "cursor": _string(17),
        "state": _list(_message(18, "Publication")),
        "publish_debounce": _uint32(19),
    },
    "UnsubscribeResult": {},
    "PublishResult": {},
    "PresenceResult": {"presence": _always(_map(_message(1, "ClientInfo")))},
    "PresenceStatsResult": {"num_clients": _always(_uint32(1)), "num_users": _always(_uint32(2))},
    "HistoryResult": {
        "publications": _always(_list(_message(1, "Publication"))),
        "epoch": _always(_string(2)),
        "offset": _always(_uint64(3)),
    },
    "PingResult": {},
    "RPCResult": {"data": _raw(1)},
    "RefreshResult": {
        "client": _always(_string(1)),
        "version": _always(_string(2)),
        "expires": _bool(3),
        "ttl": _uint32(4),
    },
    "SubRefreshResult": {"expires": _bool(1), "ttl": _uint32(2), "items": _list(_message(3, "Publication"))},
    # What the server says unasked.
    "Push": {
        "id": _int64(1),
        "channel": _string(2),
        "pub": _message(4, "Publication"),
        "join": _message(5, "Join"),
        "leave": _message(6, "Leave"),
        "unsubscribe": _message(7, "Unsubscribe"),
        "message": _message(8, "Message"),
        "subscribe": _message(9, "Subscribe"),
        "connect": _message(10, "Connect"),
        "disconnect": _message(11, "Disconnect"),
        "refresh": _message(12, "Refresh"),
    },
    "Publication": {
        "data": _raw(4),
        "info": _message(5, "ClientInfo"),
        "offset": _uint64(6),
        "tags": _map(_string(7)),
        "delta": _bool(8),
        "time": _int64(9),
        "channel": _string(10),
        "key": _string(11),
        "removed": _bool(12),
        "score": _sint64(13),
        "epoch": _string(14),
        "version": _uint64(16),
    },
    "ClientInfo": {
        "user": _always(_string(1)),
        "client": _always(_string(2)),
        "conn_info": _raw(3),
        "chan_info": _raw(4),
    },
    "Join": {"info": _message(1, "ClientInfo")},
    "Leave": {"info": _message(1, "ClientInfo")},
    "Unsubscribe": {"code": _always(_uint32(2)), "reason": _always(_string(3))},
    "Message": {"data": _raw(1)},
    "Subscribe": {
        "recoverable": _bool(1),
        "epoch": _string(4),
        "offset": _uint64(5),
        "positioned": _bool(6),
        "data": _raw(7),
    },
    "Connect": {
        "client": _always(_string(1)),
        "version": _always(_string(2)),
        "data": _raw(3),
        "subs": _map(_message(4, "SubscribeResult")),
        "expires": _bool(5),
        "ttl": _uint32(6),
        "ping": _uint32(7),
        "pong": _bool(8),
        "session": _string(9),
        "node": _string(10),
        "time": _int64(11),
    },
    "Disconnect": {"code": _always(_uint32(1)), "reason": _always(_string(2)), "reconnect": _bool(3)},
    "Refresh": {"expires": _bool(1), "ttl": _uint32(2)},
}

#: All messages by name.
MESSAGES: Mapping[str, Message] = {name: Message(fields) for name, fields in _FIELDS.items()}
