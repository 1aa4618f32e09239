"""The table against the schema that an official client brings with it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from centrifuge.protocol import client_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from hub.centrifuge.fields import Field, Kind, Many
from hub.centrifuge.schema import MESSAGES

OFFICIAL: Mapping[str, Descriptor] = client_pb2.DESCRIPTOR.message_types_by_name

#: What the hub knows of newer versions of the protocol than this client's.
NEWER = {
    "ConnectRequest": {"dict", "profile"},
    "ConnectResult": {"flag", "dict"},
    "SubscribeRequest": {"type", "phase", "cursor", "limit", "asc"},
    "SubscribeResult": {"type", "phase", "cursor", "state", "publish_debounce"},
    "PublishRequest": {"type", "key", "removed"},
    "SubRefreshRequest": {"type", "track", "untrack"},
    "SubRefreshResult": {"items"},
    "Publication": {"key", "removed", "score", "epoch", "version"},
}

KINDS = {
    FieldDescriptor.TYPE_STRING: Kind.STRING,
    FieldDescriptor.TYPE_BOOL: Kind.BOOL,
    FieldDescriptor.TYPE_UINT32: Kind.UINT32,
    FieldDescriptor.TYPE_UINT64: Kind.UINT64,
    FieldDescriptor.TYPE_INT32: Kind.INT32,
    FieldDescriptor.TYPE_INT64: Kind.INT64,
    FieldDescriptor.TYPE_SINT64: Kind.SINT64,
    FieldDescriptor.TYPE_BYTES: Kind.RAW,
    FieldDescriptor.TYPE_MESSAGE: Kind.MESSAGE,
}


def theirs(field: FieldDescriptor) -> tuple[int, Kind, Many, str]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        value = entry.fields_by_name["value"]
        return field.number, KINDS[value.type], Many.MAP, value.message_type.name if value.message_type else ""
    many = Many.LIST if field.is_repeated else Many.ONE
    return field.number, KINDS[field.type], many, entry.name if entry else ""


def ours(field: Field) -> tuple[int, Kind, Many, str]:
    return field.number, field.kind, field.many, field.of


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_message_is_as_the_official_one(name: str) -> None:
    fields = {field.name: theirs(field) for field in OFFICIAL[name].fields}
    known = {name: ours(field) for name, field in MESSAGES[name].fields.items()}
    assert {field: known[field] for field in fields} == fields
    assert known.keys() - fields.keys() == NEWER.get(name, set())


def test_only_what_is_newer_is_unknown_to_it() -> None:
    assert MESSAGES.keys() - OFFICIAL.keys() == {"TrackBatch", "KeyedItem", "Dictionary"}


@pytest.mark.parametrize("name", MESSAGES)
def test_numbers_are_given_once_and_in_order(name: str) -> None:
    numbers = [field.number for field in MESSAGES[name].fields.values()]
    assert numbers == sorted(set(numbers))
    assert all(field.of in MESSAGES for field in MESSAGES[name].fields.values() if field.kind is Kind.MESSAGE)
