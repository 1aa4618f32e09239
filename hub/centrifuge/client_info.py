"""What others are shown of a client, by the names of the protocol."""

from __future__ import annotations

from typing import Any

import orjson

from actors.presence import ClientInfo
from hub.centrifuge.codec import WireFormat
from hub.centrifuge.json_codec import JsonFormat


def client_content(format: WireFormat, info: ClientInfo) -> dict[str, Any]:
    """A client, as others are shown it."""
    return {
        "user": info.user,
        "client": info.client,
        "conn_info": fit(format, info.conn_info),
        "chan_info": fit(format, info.chan_info),
    }


def client_json(info: ClientInfo) -> dict[str, Any]:
    """The same as JSON, for the log."""
    infos = {"conn_info": _json(info.conn_info), "chan_info": _json(info.chan_info)}
    return {"user": info.user, "client": info.client, **{name: raw for name, raw in infos.items() if raw is not None}}


def fit(format: WireFormat, raw: bytes | None) -> bytes:
    """Bytes of a token as a format can carry them: in JSON only what is JSON."""
    if not raw or not isinstance(format, JsonFormat):
        return raw or b""
    return raw if _json(raw) is not None else b""


def _json(raw: bytes | None) -> orjson.Fragment | None:
    if not raw:
        return None
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return orjson.Fragment(raw)
