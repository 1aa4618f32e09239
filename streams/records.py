"""From a numbered row of `events` to the Kafka record that carries it. Every row has one, whatever is in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import structlog

from streams import envelope, topics

log = structlog.get_logger()

#: Topics in the binary mode: attributes are headers, the value is the payload.
BINARY = frozenset({topics.PUBLICATIONS.name, topics.CONTROL.name})
#: A record that would be larger, in bytes, is cut down to what tells which event it is.
LARGEST_RECORD = 900_000
#: Admits nobody; for a publication whose own audience does not fit.
NOBODY = b'{"roles":[]}'


class Record(NamedTuple):
    """What is handed to the producer."""

    key: bytes
    value: bytes
    headers: envelope.Headers

    @property
    def size(self) -> int:
        """About its bytes in a batch."""
        return len(self.key) + len(self.value) + sum(len(k) + len(v) + 4 for k, v in self.headers) + 40


def record(topic: str, row: Mapping[str, Any], n: int) -> Record:
    """The record of a row under its number. `data`, `context` and `audience` are JSON text; large data may be None."""
    try:
        made = _binary(row, n) if topic in BINARY else Record(row["key"].encode(), envelope.encode(row, n), [])
        if made.size <= LARGEST_RECORD:
            return made
        log.error("event_too_large_for_the_log", event_id=row["id"], topic=topic, bytes=made.size)
    except Exception:  # whatever a row holds, its number must be on the log, or all that follow would wait
        log.exception("event_cannot_be_encoded", event_id=row["id"], topic=topic)
    return _cut(topic, row, n)


def _binary(row: Mapping[str, Any], n: int) -> Record:
    """Attributes as headers. Data over the limit becomes `{"type": "dataref", "dataref": id}`, with a header too."""
    audience = row["audience"]
    headers = envelope.publication_headers(
        type=row["type"],
        id=str(row["id"]),
        time=row["at"],
        n=n,
        audience=None if audience is None else audience.encode(),
    )
    value = None if row["data"] is None else row["data"].encode()
    if value is None or len(value) > envelope.LARGEST_DATA:
        value = orjson.dumps({"type": "dataref", "dataref": str(row["id"])})
        headers.append(("ce_dataref", str(row["id"]).encode()))
    return Record(row["key"].encode(), value, headers)


def _cut(topic: str, row: Mapping[str, Any], n: int) -> Record:
    """The least that names the event: readers load the rest from Postgres by its id."""
    bare = {
        "id": row["id"],
        "at": datetime.fromtimestamp(0, UTC),
        "key": row["key"][:200],
        "type": row["type"][:200],
        "subject": row["subject"][:200],
        "data": None,
        "context": "{}",
        "audience": NOBODY.decode(),
        "schema": row["schema"],
    }
    if topic in BINARY:
        return _binary(bare, n)
    return Record(bare["key"].encode(), envelope.encode(bare, n), [])
