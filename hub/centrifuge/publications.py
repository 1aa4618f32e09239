"""What results and pushes show of publications and of clients, by the names of the protocol."""

from __future__ import annotations

from typing import Any

import orjson

from actors.channel import Publication
from actors.presence import ClientInfo
from hub.centrifuge.codec import WireFormat
from hub.centrifuge.json_codec import JsonFormat


def content(publication: Publication) -> dict[str, Any]:
    """A publication."""
    return {"data": publication.record.payload, "offset": publication.offset}


def client_content(format: WireFormat, info: ClientInfo) -> dict[str, Any]:
    """A client, as others are shown it."""
    return {
        "user": info.user,
        "client": info.client,
        "conn_info": fit(format, info.conn_info),
        "chan_info": fit(format, info.chan_info),
    }


def fit(format: WireFormat, raw: bytes | None) -> bytes:
    """Bytes of a token as a format can carry them: in JSON only what is JSON."""
    if not raw or not isinstance(format, JsonFormat):
        return raw or b""
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return b""
    return raw
