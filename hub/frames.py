"""Ready WebSocket frames, and what the two plain endpoints send in them: JSON objects.

A frame is encoded once per publication and the same bytes go to every socket, so payloads are spliced as bytes and
never parsed: an agent's `{"type": ..., ...}` gets its `offset`, anything from outside becomes the `data` of a
`publication`.
"""

from __future__ import annotations

from typing import Any

import orjson
from prometheus_client import Counter

from actors.channel import Publication
from actors.traffic import Traffic

MALFORMED = Counter("hub_malformed_total", "Frames of clients that could not be read", ["protocol"])

#: First bytes of unfragmented frames.
TEXT, BINARY = 0x81, 0x82


def text(payload: bytes) -> bytes:
    """A WebSocket text frame from server to client, header and all (RFC 6455: servers do not mask)."""
    return _frame(TEXT, payload)


def binary(payload: bytes) -> bytes:
    """The same for a binary frame."""
    return _frame(BINARY, payload)


def _frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def message(content: dict[str, Any]) -> bytes:
    """A frame that is no publication, such as a greeting or a pong."""
    return text(orjson.dumps(content))


class Plain:
    """The codec of the plain endpoints. There is one, PLAIN, so that every frame is encoded once."""

    name = "plain"
    sent, received = Traffic(), Traffic()

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        """A publication's frame. An agent's record that is no object is shown like one from outside."""
        record = publication.record
        if record.kind == "frame" and record.payload.startswith(b"{"):
            return agent_frame(record.payload, publication.offset)
        return outside_frame(record.channel, record.payload, publication.offset)

    def after(self, sent: bool) -> Plain:
        """Itself: nothing depends on what was sent before."""
        return self

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        """Where a session stands that was not allowed to see what came, or whose channel was just made."""
        return message({"type": "position", "channel": channel, "epoch": epoch, "offset": offset})


PLAIN = Plain()


def agent_frame(payload: bytes, offset: int) -> bytes:
    """An agent's JSON object with its offset spliced in as the last key."""
    body = payload.rstrip()
    comma = b"" if body[1:-1].isspace() or len(body) == 2 else b","
    return text(b'%b%b"offset":%d}' % (body[:-1], comma, offset))


def outside_frame(channel: str, payload: bytes, offset: int) -> bytes:
    """Any JSON from outside, as the data of a `publication`."""
    return text(b'{"type":"publication","channel":%b,"data":%b,"offset":%d}' % (orjson.dumps(channel), payload, offset))
