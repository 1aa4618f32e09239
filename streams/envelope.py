"""How a record looks on the wire: CloudEvents 1.0.

The crm, campaign and widget topics carry structured JSON, one event a record. `hub.publications` and `hub.control`
use the binary mode: attributes are headers and the value is the payload itself, so that a hub node never parses it.
`sequence` is the relay's n, dense from 1 within a topic's partition; a record without it came from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from streams import exact

SOURCE = "/switchboard"

#: An event whose data is larger is produced without it, with `dataref` naming its id.
LARGEST_DATA = 512 * 1024

Headers = list[tuple[str, bytes]]


class EnvelopeError(ValueError):
    """A record is not an event of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One row of `events` that has its number, as an agent sees it."""

    id: int
    topic: str
    partition: int
    #: The relay's number, dense from 1 within (topic, partition).
    n: int
    key: str
    #: What happened, such as `lead.updated`.
    type: str
    #: What it happened to, such as `lead:7`.
    subject: str
    time: datetime
    #: For a row change `{"before": {...}|null, "after": {...}|null}`; None means it stayed in Postgres (`dataref`).
    data: dict[str, Any] | None
    #: actor, ip, user_agent, request_id, source, role: who, from where, which request.
    context: dict[str, Any]
    #: The migration in force when it happened.
    schema: int


#: Our extension attributes of a structured event, and the context key each one carries.
CONTEXT_ATTRIBUTES = {
    "actor": "actor",
    "ipaddress": "ip",
    "useragent": "user_agent",
    "requestid": "request_id",
    "origin": "source",
    "dbrole": "role",
}


def encode(row: Mapping[str, Any], n: int) -> bytes:
    """The structured JSON of an `events` row whose `data` and `context` are JSON text.

    Data that is None (left in Postgres by the reader) or larger than LARGEST_DATA is referred to.
    """
    context = orjson.loads(row["context"])
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(row["id"]),
        "source": SOURCE,
        "type": row["type"],
        "subject": row["subject"],
        "time": row["at"].astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": f"{n:020d}",
        "partitionkey": row["key"],
        "schemaversion": row["schema"],
    }
    for attribute, name in CONTEXT_ATTRIBUTES.items():
        if context.get(name) not in (None, ""):
            envelope[attribute] = str(context[name])
    data = None if row["data"] is None else row["data"].encode()
    if data is None or len(data) > LARGEST_DATA:
        envelope["dataref"] = str(row["id"])
    else:
        envelope["data"] = orjson.Fragment(data)
    return orjson.dumps(envelope)


#: Records whose events are remembered for a moment, and the largest of them, in bytes: every agent of a worker is given
#: the same ones.
SHARED, LARGEST_SHARED = 256, 16 * 1024


def decode(value: bytes, topic: str, partition: int) -> Event:
    """The event in a structured record, not to be changed. Raises EnvelopeError if it is none of ours."""
    if len(value) <= LARGEST_SHARED:
        return _shared(value, topic, partition)
    return _decode(value, topic, partition)


@lru_cache(maxsize=SHARED)
def _shared(value: bytes, topic: str, partition: int) -> Event:
    return _decode(value, topic, partition)


def _decode(value: bytes, topic: str, partition: int) -> Event:
    try:
        envelope = exact.loads(value)
        context = {name: envelope[attr] for attr, name in CONTEXT_ATTRIBUTES.items() if attr in envelope}
        if "actor" in context:
            context["actor"] = int(context["actor"])
        return Event(
            id=int(envelope["id"]),
            topic=topic,
            partition=partition,
            n=int(envelope["sequence"]),
            key=envelope["partitionkey"],
            type=envelope["type"],
            subject=envelope["subject"],
            time=datetime.fromisoformat(envelope["time"]),
            data=envelope.get("data"),
            context=context,
            schema=envelope["schemaversion"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvelopeError(f"not an event of ours: {error}") from error


#: Types of records on `hub.publications`. A FRAME is an agent's `{"type": ..., ...}` object, a PUBLICATION any JSON
#: from outside, a TICK moves partition time and has no payload.
FRAME = "hub.frame"
PUBLICATION = "hub.publication"
TICK = "hub.tick"


def publication_headers(
    *,
    type: str,
    id: str,
    time: datetime,
    n: int | None = None,
    audience: bytes | None = None,
    info: bytes | None = None,
    tags: bytes | None = None,
    transient: bool = False,
    version: int = 0,
    version_epoch: str = "",
    delta: bool = False,
) -> Headers:
    """Headers of a record on `hub.publications`. `id` tells repeats apart; `audience` is who may see it (JSON).

    The others are of publications from outside: `info` is the client that published (JSON), `tags` are texts by name
    (JSON), a `transient` one is in no history, one with a `version` counts only if its channel has seen no such or
    later version of the same `version_epoch`, and one with `delta` may be sent as a delta.
    """
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", type.encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_id", id.encode()),
        ("ce_time", time.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("content-type", b"application/json"),
    ]
    if n is not None:
        headers.append(("ce_sequence", f"{n:020d}".encode()))
    if audience is not None:
        headers.append(("ce_audience", audience))
    if info is not None:
        headers.append(("ce_info", info))
    if tags is not None:
        headers.append(("ce_tags", tags))
    if transient:
        headers.append(("ce_transient", b"true"))
    if version:
        headers.append(("ce_version", str(version).encode()))
        headers.append(("ce_versionepoch", version_epoch.encode()))
    if delta:
        headers.append(("ce_delta", b"true"))
    return headers


def attributes(headers: Iterable[tuple[str, bytes]] | Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """Headers of a binary record by name."""
    return dict(headers)
