"""Protobuf by the table of messages: what protocol version 2 uses of it, which is varints and length-delimited fields.

Strict where a peer cannot mean it: a known field with another wire type, text that is not UTF-8, a length beyond the
end. What the table does not know is skipped, for newer clients send more.

Not the official library: it reads into objects of its own, which would then be turned into what JSON gives at once,
and it takes a field of the wrong type for one it does not know. The tests hold this module against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hub.centrifuge.codec import Malformed
from hub.centrifuge.fields import DEPTH, RANGES, Field, Kind, Many, Message
from hub.centrifuge.schema import MESSAGES

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5

_SMALL = [bytes((n,)) for n in range(128)]
_WORD = 2**64 - 1

_DELIMITED_KINDS = (Kind.STRING, Kind.RAW, Kind.MESSAGE)


def varint(number: int) -> bytes:
    """A number from 0 as base-128 digits, the least first."""
    if number < 128:
        return _SMALL[number]
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at that place and the place behind it. Raises Malformed."""
    number = shift = 0
    for place in range(at, min(at + 10, len(data))):
        digit = data[place]
        number |= (digit & 127) << shift
        if digit < 128:
            if number > _WORD:
                break
            return number, place + 1
        shift += 7
    raise Malformed("no varint")


def delimited(data: bytes) -> bytes:
    """Bytes behind their length."""
    return varint(len(data)) + data


def read_delimited(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes whose length stands at that place, and the place behind them. Raises Malformed."""
    size, at = read_varint(data, at)
    if size > len(data) - at:
        raise Malformed("cut short")
    return data[at : at + size], at + size


def encode(message: Message, content: Mapping[str, Any]) -> bytes:
    """A message, by the numbers of its fields. Zeros are left out. Raises KeyError for a field there is not."""
    parts: list[bytes] = []
    for number, name in sorted((message.fields[name].number, name) for name in content):
        field, value = message.fields[name], content[name]
        if field.many is Many.LIST:
            parts += [_one(number, field, one) for one in value]
        elif field.many is Many.MAP:
            parts += [_tag(number, _DELIMITED) + delimited(_entry(field, *entry)) for entry in value.items()]
        elif value is not None and (value or field.kind is Kind.MESSAGE):
            parts.append(_one(number, field, value))
    return b"".join(parts)


def _entry(field: Field, key: str, value: Any) -> bytes:
    return _tag(1, _DELIMITED) + delimited(key.encode()) + _one(2, field, value)


def _one(number: int, field: Field, value: Any) -> bytes:
    match field.kind:
        case Kind.STRING:
            return _tag(number, _DELIMITED) + delimited(value.encode())
        case Kind.RAW:
            return _tag(number, _DELIMITED) + delimited(value)
        case Kind.MESSAGE:
            return _tag(number, _DELIMITED) + delimited(encode(MESSAGES[field.of], value))
        case Kind.SINT64:
            return _tag(number, _VARINT) + varint((value << 1 ^ value >> 63) & _WORD)
        case _:
            return _tag(number, _VARINT) + varint(value & _WORD)


def _tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def decode(message: Message, data: bytes) -> dict[str, Any]:
    """Every field of a message, zero when it was not sent. Raises Malformed."""
    content = dict(message.zeros)
    _read(message, data, content, DEPTH)
    return content


def _read(message: Message, data: bytes, content: dict[str, Any], depth: int) -> None:
    """Read fields into what is known of a message. One that comes twice counts as Protobuf has it: the last number
    or text, and messages merged.
    """
    if not depth:
        raise Malformed("nested too deeply")
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise Malformed("no field has this number")
        known = message.by_number.get(number)
        if known is None:
            at = _skip(data, at, wire)
            continue
        name, field = known
        if wire != (_DELIMITED if field.kind in _DELIMITED_KINDS else _VARINT):
            raise Malformed(f"{name} is of another type")
        if wire == _VARINT:
            value, at = read_varint(data, at)
            content[name] = _number(field.kind, value)
        else:
            chunk, at = read_delimited(data, at)
            _take(name, field, chunk, content, depth)


def _take(name: str, field: Field, chunk: bytes, content: dict[str, Any], depth: int) -> None:
    """Put a length-delimited field where it belongs."""
    if field.many is Many.LIST:
        if not content[name]:
            content[name] = []
        content[name].append(_value(field, chunk, None, depth))
    elif field.many is Many.MAP:
        if not content[name]:
            content[name] = {}
        key, value = _read_entry(field, chunk, depth)
        content[name][key] = value
    else:
        content[name] = _value(field, chunk, content[name], depth)


def _read_entry(field: Field, chunk: bytes, depth: int) -> tuple[str, Any]:
    """Key and value of one entry of a map; both have their zero when they were not sent."""
    key, value, at = "", None, 0
    while at < len(chunk):
        tag, at = read_varint(chunk, at)
        if tag == (1 << 3 | _DELIMITED):
            piece, at = read_delimited(chunk, at)
            key = _text(piece)
        elif tag == (2 << 3 | _DELIMITED):
            piece, at = read_delimited(chunk, at)
            value = _value(field, piece, value, depth)
        elif tag >> 3 in (0, 1, 2):
            raise Malformed("an entry of a map is of another type")
        else:
            at = _skip(chunk, at, tag & 7)
    return key, _value(field, b"", None, depth) if value is None else value


def _value(field: Field, chunk: bytes, known: Any, depth: int) -> Any:
    """What a length-delimited field holds; a message is merged into what is known of it."""
    if field.kind is Kind.RAW:
        return chunk
    if field.kind is Kind.STRING:
        return _text(chunk)
    message = MESSAGES[field.of]
    content = dict(message.zeros) if known is None else known
    _read(message, chunk, content, depth - 1)
    return content


def _text(chunk: bytes) -> str:
    try:
        return chunk.decode()
    except UnicodeDecodeError:
        raise Malformed("no UTF-8") from None


#: Kinds whose varint is not the number itself.
_DECODED: Mapping[Kind, Callable[[int], int]] = {
    Kind.BOOL: bool,
    Kind.SINT64: lambda word: word >> 1 ^ -(word & 1),
}


def _number(kind: Kind, word: int) -> int:
    """The number in a varint's 64 bits."""
    if kind in _DECODED:
        return _DECODED[kind](word)
    least, greatest = RANGES[kind]
    bits = greatest - least
    word &= bits
    return word - bits - 1 if word > greatest else word


def _skip(data: bytes, at: int, wire: int) -> int:
    """The place behind a field nobody here knows."""
    if wire == _VARINT:
        return read_varint(data, at)[1]
    if wire == _DELIMITED:
        return read_delimited(data, at)[1]
    if wire not in (_FIXED64, _FIXED32):
        raise Malformed("no such wire type")
    at += 8 if wire == _FIXED64 else 4
    if at > len(data):
        raise Malformed("cut short")
    return at
