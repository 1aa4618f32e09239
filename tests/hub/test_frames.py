"""The plain frames, byte by byte."""

import orjson
import pytest

from hub import frames


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f" + (65_536).to_bytes(8, "big")),
    ],
)
def test_a_frame_states_its_length(size: int, header: bytes) -> None:
    payload = b"x" * size
    assert frames.text(payload) == header + payload
    assert frames.binary(payload) == b"\x82" + header[1:] + payload


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"type": "lead_update"}', b'{"type": "lead_update","offset":7}'),
        (b'{"a":{"b":[]}}\n', b'{"a":{"b":[]},"offset":7}'),
        (b"{}", b'{"offset":7}'),
        (b"{ }", b'{ "offset":7}'),
    ],
)
def test_an_agents_frame_gets_its_offset(payload: bytes, expected: bytes) -> None:
    assert frames.agent_frame(payload, 7)[2:] == expected


@pytest.mark.parametrize("payload", [b"1", b"null", b'"text"', b"[1, 2]", b'{"a": 1}'])
def test_a_publication_carries_any_json(payload: bytes) -> None:
    body = orjson.loads(frames.outside_frame('say "hi"', payload, 3)[2:])
    assert body == {"type": "publication", "channel": 'say "hi"', "data": orjson.loads(payload), "offset": 3}


def test_a_message_is_one_frame() -> None:
    assert frames.message({"type": "pong", "timestamp": 5}) == b'\x81\x1d{"type":"pong","timestamp":5}'
