"""The command in a record of `hub.api`, in any of the forms that Centrifugo reads from Kafka.

{"method": "publish", "payload": {...}}             the request under its method
header centrifugo-method                            the request alone, its method in the header
header centrifugo-channels: a,b                     what is to be said in these channels, alone; also with
  centrifugo-idempotency-key and centrifugo-tag-<name>
"""

from __future__ import annotations

from typing import Any

import orjson
from aiokafka import ConsumerRecord

from hub.centrifuge.api_methods import read
from hub.centrifuge.api_parts import Call
from hub.centrifuge.api_request import Given
from hub.centrifuge.codec import Malformed
from streams.topics import API

METHOD, CHANNELS = "centrifugo-method", "centrifugo-channels"
KEY, TAG = "centrifugo-idempotency-key", "centrifugo-tag-"

#: Methods that change something; nobody would hear the answers of the others.
METHODS = frozenset({"publish", "broadcast", "subscribe", "unsubscribe", "disconnect", "refresh"})

Consumed = ConsumerRecord[bytes | None, bytes | None]


def command(record: Consumed) -> Call:
    """The command. Raises Malformed.

    What is to be said without a key gets one from the record's place, so that a record that is read again after a
    crash is no second publication.
    """
    method, request = _request(record)
    if method not in METHODS:
        raise Malformed(f"{method or 'no method'} is not for this topic; allowed: {', '.join(sorted(METHODS))}.")
    if method in ("publish", "broadcast") and isinstance(request, dict) and not request.get("idempotency_key"):
        request = {**request, "idempotency_key": f"{API.name}:{record.partition}:{record.offset}"}
    return read(method, Given(request, "payload"))


def _request(record: Consumed) -> tuple[str, Any]:
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    content = _json(record.value or b"")
    if channels := headers.get(CHANNELS):
        tags = {name.removeprefix(TAG): text for name, text in headers.items() if name.startswith(TAG)}
        names = [name.strip() for name in channels.split(",")]
        return "broadcast", {"channels": names, "data": content, "tags": tags, "idempotency_key": headers.get(KEY)}
    if method := headers.get(METHOD):
        return method, content
    given = Given(content, "")
    return given.text("method"), given.any("payload")


def _json(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The record must be JSON: {error}") from None
