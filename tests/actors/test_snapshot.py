"""A snapshot gives back what went in, and refuses what it does not know."""

from __future__ import annotations

import zlib

import orjson
import pytest

from actors.channel import Publication
from actors.log import Applied, Record, State, apply
from actors.snapshot import SnapshotError, decode, encode


def test_state_and_places_come_back() -> None:
    state = State.first("0badcafe", 0, 1)
    kept = []
    for at in range(100):
        channel = f"lead:{at % 7}"
        record = Record(offset=2 * at, timestamp=1000 + at, kind="publication", channel=channel, id=f"é{at}")
        applied = apply(state, record)
        assert isinstance(applied, Applied)
        kept.append(Publication(record, applied.offset))
    restored = decode(encode(state, kept[50:]))
    assert restored.state == state
    assert list(restored.state.channels) == list(state.channels)
    assert restored.remembered == {2 * at: (f"lead:{at % 7}", at // 7 + 1) for at in range(50, 100)}


def test_what_is_remembered_of_a_forgotten_channel_is_left_out() -> None:
    record = Record(offset=5, timestamp=0, kind="frame", channel="gone", id="", n=1)
    assert decode(encode(State.first("0badcafe", 9, 1), [Publication(record, 1)])).remembered == {}


@pytest.mark.parametrize(
    "data",
    [b"", b"no zlib", zlib.compress(b"no json"), zlib.compress(b"{}"), zlib.compress(orjson.dumps({"format": 2}))],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        decode(data)
