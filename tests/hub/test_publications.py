"""Records as the fold takes them: ours in full, anything else as `other`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from aiokafka import ConsumerRecord

from actors.log import Record
from hub.publications import decode
from streams.envelope import FRAME, PUBLICATION, TICK, Headers, publication_headers

AT = datetime(2026, 3, 4, 5, 6, 7, 250_000, tzinfo=UTC)


def consumed(key: bytes | None, value: bytes | None, headers: Headers) -> ConsumerRecord[bytes | None, bytes | None]:
    return ConsumerRecord(
        topic="hub.publications",
        partition=3,
        offset=41,
        timestamp=1_700_000_000_123,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=tuple(headers),
    )


def test_an_agents_frame() -> None:
    headers = publication_headers(type=FRAME, id="900", time=AT, n=17, audience=b'{"roles":[]}')
    assert decode(consumed(b"lead:7", b'{"type":"x"}', headers)) == Record(
        offset=41,
        timestamp=1_700_000_000_123,
        kind="frame",
        channel="lead:7",
        id="900",
        n=17,
        payload=b'{"type":"x"}',
        audience=b'{"roles":[]}',
    )


def test_a_publication_from_outside_has_no_number() -> None:
    record = decode(consumed(b"news", b"1", publication_headers(type=PUBLICATION, id="key", time=AT)))
    assert (record.kind, record.id, record.n, record.audience) == ("publication", "key", None, None)


def test_a_publication_from_outside_may_say_more() -> None:
    headers = publication_headers(
        type=PUBLICATION,
        id="key",
        time=AT,
        info=b'{"user":"7"}',
        tags=b'{"a":"b"}',
        transient=True,
        version=2**64 - 1,
        version_epoch="e",
    )
    record = decode(consumed(b"news", b"1", headers))
    assert (record.info, record.tags, record.transient) == (b'{"user":"7"}', b'{"a":"b"}', True)
    assert (record.version, record.version_epoch) == (2**64 - 1, "e")


@pytest.mark.parametrize("version", [b"", b"-1", b"1.5", b"18446744073709551616", b"1" * 5000])
def test_what_is_no_version_is_none(version: bytes) -> None:
    assert decode(consumed(b"news", b"1", [("ce_type", PUBLICATION.encode()), ("ce_version", version)])).version == 0


def test_a_tick_moves_time() -> None:
    record = decode(consumed(None, None, publication_headers(type=TICK, id="t", time=AT)))
    assert (record.kind, record.time) == ("tick", round(AT.timestamp() * 1000))


@pytest.mark.parametrize(
    ("key", "value", "headers"),
    [
        (b"news", b"1", []),
        (b"news", b"1", [("ce_type", b"something.else"), ("ce_sequence", b"00000000000000000005")]),
        (None, b"1", publication_headers(type=PUBLICATION, id="key", time=AT, n=5)),
        (b"news", None, publication_headers(type=FRAME, id="key", time=AT, n=5)),
        (b"\xff\xfe", b"1", [("ce_type", b"\xff"), ("ce_sequence", b"-1"), ("ce_id", b"\xff")]),
    ],
)
def test_anything_else_is_other_and_keeps_its_number(key: bytes | None, value: bytes | None, headers: Headers) -> None:
    record = decode(consumed(key, value, headers))
    assert record.kind == "other"
    assert record.n == (5 if ("ce_sequence", b"00000000000000000005") in headers else None)


def test_a_tick_without_a_time_moves_nothing() -> None:
    assert decode(consumed(None, None, [("ce_type", TICK.encode()), ("ce_time", b"soon")])).time is None
