"""The protocol in JSON: a message is one line, a frame is lines joined by newlines.

Payloads are embedded as they are, never parsed; only line ends between their tokens go, for they would end the line.
"""

from __future__ import annotations

from typing import Any

import orjson

from actors.traffic import Traffic
from hub import frames
from hub.centrifuge.codec import (
    COMMAND,
    EMULATION,
    PUBLICATION,
    REPLY,
    Command,
    Content,
    Emulation,
    Malformed,
    Method,
    Push,
    WireFormat,
    command,
)
from hub.centrifuge.codes import Error
from hub.centrifuge.fields import DEPTH, RANGES, Field, Kind, Many, Message
from hub.centrifuge.schema import MESSAGES


class JsonFormat(WireFormat):
    """The wire format in JSON."""

    name = "json"
    sent, received = Traffic(), Traffic()
    ping = b"{}"
    between = b"\n"
    binary = False

    def decode(self, frame: bytes | str) -> list[Command]:
        text = frame.encode(errors="surrogatepass") if isinstance(frame, str) else frame
        return [command(loads(COMMAND, line)) for line in text.strip().split(b"\n")]

    def emulation(self, body: bytes) -> Emulation:
        content = loads(EMULATION, body)
        data = _loads(content["data"])
        if not isinstance(data, str):
            raise Malformed("data is no string")
        return Emulation(node=content["node"], session=content["session"], data=data.encode())

    def reply(self, id: int, method: Method, result: Content) -> bytes:
        return b'{"id":%d,"%b":%b}' % (id, method.encode(), dumps(MESSAGES[REPLY.fields[method].of], result))

    def error(self, id: int, error: Error) -> bytes:
        return b'{"id":%d,"error":%b}' % (id, dumps(MESSAGES["Error"], error._asdict()))

    def push(self, channel: str, kind: Push, content: Content) -> bytes:
        return self.around(dumps(MESSAGES["Push"], {"channel": channel, kind: content}))

    def publication_push(self, channel: str, data: bytes, offset: int, extras: Content | None = None) -> bytes:
        more = b',"offset":%d' % offset if offset else b""
        if shown := dumps(PUBLICATION, extras or {})[1:-1]:
            more += b"," + shown
        return self.around(b'{"channel":%b,"pub":{"data":%b%b}}' % (orjson.dumps(channel), _line(data), more))

    def around(self, push: bytes) -> bytes:
        """The message that carries a Push."""
        return b'{"push":%b}' % push

    def delta_data(self, data: bytes) -> bytes:
        """A JSON string of the text: deltas are taken between texts, not between values."""
        return orjson.dumps(data.decode(errors="replace"))


CENTRIFUGE_JSON = JsonFormat(frames.text)


def dumps(message: Message, content: Content) -> bytes:
    """A message as one line. Zeros are left out, except where clients rely on them."""
    return orjson.dumps(_shown(message, content))


def loads(message: Message, text: bytes) -> dict[str, Any]:
    """Every field of a message, zero when it was not sent. Raises Malformed."""
    return _object(message, _loads(text), DEPTH)


def _shown(message: Message, content: Content) -> dict[str, Any]:
    shown = dict(message.relied_on)
    for name, value in content.items():
        field = message.fields[name]
        if field.many is Many.LIST and value:
            shown[name] = [_one(field, one) for one in value]
        elif field.many is Many.MAP and value:
            shown[name] = {key: _one(field, one) for key, one in value.items()}
        elif value or (value is not None and field.kind is Kind.MESSAGE and field.many is Many.ONE):
            shown[name] = _one(field, value)
    return shown


def _one(field: Field, value: Any) -> Any:
    if field.kind is Kind.RAW:
        return orjson.Fragment(_line(value))
    return _shown(MESSAGES[field.of], value) if field.kind is Kind.MESSAGE else value


def _line(payload: bytes) -> bytes:
    """JSON without line ends, which stand only between tokens; inside a string they are escaped."""
    if b"\n" in payload or b"\r" in payload:
        return payload.replace(b"\n", b"").replace(b"\r", b"")
    return payload


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed(str(error)) from None


def _object(message: Message, value: Any, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed("no object")
    if not depth:
        raise Malformed("nested too deeply")
    content = dict(message.zeros)
    for name, sent in value.items():
        field = message.fields.get(name)
        if field is not None:
            content[name] = _field(name, field, sent, depth)
    return content


def _field(name: str, field: Field, sent: Any, depth: int) -> Any:
    """What was sent for a field, as its type has it. Raises Malformed."""
    if sent is None and field.kind is not Kind.RAW:
        return field.zero
    if field.many is Many.LIST:
        if not isinstance(sent, list):
            raise Malformed(f"{name} is no list")
        return [_value(name, field, one, depth) for one in sent]
    if field.many is Many.MAP:
        if not isinstance(sent, dict):
            raise Malformed(f"{name} is no object")
        return {key: _value(name, field, one, depth) for key, one in sent.items()}
    return _value(name, field, sent, depth)


def _value(name: str, field: Field, sent: Any, depth: int) -> Any:
    match field.kind:
        case Kind.RAW:
            return _compact(sent)
        case Kind.MESSAGE:
            return _object(MESSAGES[field.of], sent, depth - 1)
        case Kind.STRING:
            right = isinstance(sent, str)
        case Kind.BOOL:
            right = isinstance(sent, bool)
        case kind:
            least, greatest = RANGES[kind]
            right = type(sent) is int and least <= sent <= greatest
    if not right:
        raise Malformed(f"{name} is of another type")
    return sent


def _compact(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:  # nested deeper than it writes
        raise Malformed(str(error)) from None
