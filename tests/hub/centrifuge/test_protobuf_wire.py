"""Protobuf against the official library, with messages that lie in no table of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from centrifuge.protocol import client_pb2
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Official
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.centrifuge.codec import Malformed
from hub.centrifuge.fields import RANGES, Field, Kind, Many
from hub.centrifuge.protobuf_wire import decode, encode, read_varint, varint
from hub.centrifuge.schema import MESSAGES
from tests.hub.centrifuge.test_schema import NEWER, OFFICIAL

NAMES = sorted(OFFICIAL)


def maps(name: str) -> bool:
    """Whether there is a map in a message, or in one it holds."""
    fields = MESSAGES[name].fields.values()
    return any(one.many is Many.MAP or (one.of not in ("", name) and maps(one.of)) for one in fields)


#: The official library drops a whole entry of a map that has an unknown field in it; others read the rest.
MAPLESS = [name for name in NAMES if not maps(name)]


def fields_of(name: str) -> dict[str, Field]:
    """Those both sides know."""
    newer = NEWER.get(name, set())
    return {field: one for field, one in MESSAGES[name].fields.items() if field not in newer}


def values(field: Field, depth: int) -> st.SearchStrategy[Any]:
    one: st.SearchStrategy[Any]
    if field.kind is Kind.STRING:
        one = st.text(max_size=4)
    elif field.kind is Kind.RAW:
        one = st.binary(max_size=200)
    elif field.kind is Kind.BOOL:
        one = st.booleans()
    elif field.kind is Kind.MESSAGE:
        one = contents(field.of, depth - 1)
    else:
        one = st.integers(*RANGES[field.kind])
    if field.many is Many.LIST:
        return st.lists(one, max_size=2)
    return st.dictionaries(st.text(max_size=3), one, max_size=2) if field.many is Many.MAP else one


def contents(name: str, depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Some fields of a message."""
    if not depth:
        return st.just({})
    return st.fixed_dictionaries({}, optional={field: values(one, depth) for field, one in fields_of(name).items()})


def official(name: str) -> Official:
    message: Official = getattr(client_pb2, name)()
    return message


def fill(message: Any, name: str, content: Mapping[str, Any]) -> None:
    """Give the official message what ours has."""
    for field, value in content.items():
        one, held = MESSAGES[name].fields[field], getattr(message, field)
        if one.kind is not Kind.MESSAGE:
            match one.many:
                case Many.ONE:
                    setattr(message, field, value)
                case Many.LIST:
                    held.extend(value)
                case Many.MAP:
                    held.update(value)
        elif one.many is Many.ONE:
            held.SetInParent()
            fill(held, one.of, value)
        else:
            for key in value:
                fill(
                    held.add() if one.many is Many.LIST else held[key],
                    one.of,
                    key if one.many is Many.LIST else value[key],
                )


def shared(content: Mapping[str, Any] | None, name: str) -> dict[str, Any] | None:
    """What we read, as far as both sides know it."""
    if content is None:
        return None
    known = dict(content)
    for field, one in MESSAGES[name].fields.items():
        if field in NEWER.get(name, ()):
            known[field] = one.zero
        elif one.of and one.many is Many.LIST:
            known[field] = [shared(part, one.of) for part in content[field]] or ()
        elif one.of and one.many is Many.MAP:
            known[field] = {key: shared(part, one.of) for key, part in content[field].items()}
        elif one.of:
            known[field] = shared(content[field], one.of)
    return known


def shown(message: Any, name: str) -> dict[str, Any]:
    """What the official message holds, as ours would."""
    content = dict(MESSAGES[name].zeros)
    for field, one in fields_of(name).items():
        held = getattr(message, field)
        if one.many is Many.LIST:
            content[field] = [shown(part, one.of) if one.of else part for part in held] or ()
        elif one.many is Many.MAP:
            content[field] = {key: shown(held[key], one.of) if one.of else held[key] for key in held}
        elif one.kind is Kind.MESSAGE:
            content[field] = shown(held, one.of) if message.HasField(field) else None
        else:
            content[field] = held
    return content


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), contents(name))))
def test_each_reads_what_the_other_wrote(case: tuple[str, dict[str, Any]]) -> None:
    name, content = case
    theirs = official(name)
    fill(theirs, name, content)
    ours = encode(MESSAGES[name], content)
    assert official(name).FromString(ours) == theirs
    assert decode(MESSAGES[name], theirs.SerializeToString()) == decode(MESSAGES[name], ours) == shown(theirs, name)
    assert len(ours) <= len(theirs.SerializeToString())


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(MAPLESS).flatmap(lambda name: st.tuples(st.just(name), contents(name))), st.data())
def test_what_is_damaged_is_read_alike_or_refused(case: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    """What both accept they read the same. Each is stricter somewhere."""
    name, content = case
    damaged = bytearray(encode(MESSAGES[name], content))
    at = data.draw(st.integers(0, len(damaged)))
    damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        ours = decode(MESSAGES[name], bytes(damaged))
    except Malformed:
        return
    try:
        theirs = official(name).FromString(bytes(damaged))
    except DecodeError:  # it wants lengths and tags in five bytes
        return
    assert shared(ours, name) == shown(theirs, name)


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32 - 1, 2**53, 2**64 - 1])
def test_numbers(number: int) -> None:
    assert read_varint(b"x" + varint(number) + b"x", 1) == (number, 1 + len(varint(number)))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 9, b"\xff" * 11, b"\xff" * 9 + b"\x02"])
def test_no_number(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_varint(data, 0)


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("Publication", b"\x68\x05", {"score": -3}),
        ("Publication", b"\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {"time": -1}),
        ("Publication", b"\x40\x96\x01", {"delta": True}),
        ("HistoryRequest", b"\x38\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", {"limit": -1}),
        ("HistoryRequest", b"\x38\xff\xff\xff\xff\x0f", {"limit": -1}),
        ("Error", b"\x08\x80\x80\x80\x80\x10", {"code": 0}),
        ("ConnectRequest", b"\x32\x00", {"headers": {"": ""}}),
        ("ConnectRequest", b"\x1a\x03\x0a\x01c", {"subs": {"c": dict(MESSAGES["SubscribeRequest"].zeros)}}),
    ],
)
def test_rare_shapes(name: str, data: bytes, expected: dict[str, Any]) -> None:
    assert decode(MESSAGES[name], data) == dict(MESSAGES[name].zeros) | expected
