"""Records of `hub.publications` as the fold reads them. Attributes are headers, so no payload is parsed here.

Whatever stands in the topic becomes a Record, on every node alike: what nobody of ours wrote is of kind `other`, which
moves the fold past it and gives no number.
"""

from __future__ import annotations

from datetime import datetime

from aiokafka import ConsumerRecord

from actors.log import Kind, Record
from streams.envelope import FRAME, PUBLICATION, TICK

#: Versions are 64 bits wide; what is larger is none.
LARGEST_VERSION = 2**64 - 1

KINDS: dict[bytes | None, Kind] = {
    FRAME.encode(): "frame",
    PUBLICATION.encode(): "publication",
    TICK.encode(): "tick",
}


def decode(record: ConsumerRecord[bytes | None, bytes | None]) -> Record:
    """The record as the fold takes it."""
    headers: dict[str, bytes] = dict(record.headers)
    kind = KINDS.get(headers.get("ce_type"), "other")
    channel = _text(record.key)
    if kind in ("frame", "publication") and not (channel and record.value):
        kind = "other"
    return Record(
        offset=record.offset,
        timestamp=record.timestamp,
        kind=kind,
        channel=channel,
        id=_text(headers.get("ce_id")),
        n=_number(headers.get("ce_sequence")),
        payload=record.value or b"",
        audience=headers.get("ce_audience"),
        time=_milliseconds(headers.get("ce_time")) if kind == "tick" else None,
        info=headers.get("ce_info"),
        tags=headers.get("ce_tags"),
        transient="ce_transient" in headers,
        version=_version(headers.get("ce_version")),
        version_epoch=_text(headers.get("ce_versionepoch")),
        delta="ce_delta" in headers,
    )


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode(errors="replace")


def _number(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) <= 20 else None


def _version(raw: bytes | None) -> int:
    number = _number(raw) or 0
    return number if number <= LARGEST_VERSION else 0


def _milliseconds(raw: bytes | None) -> int | None:
    try:
        return None if raw is None else round(datetime.fromisoformat(raw.decode()).timestamp() * 1000)
    except ValueError:
        return None
