"""What the messages of the protocol are made of: fields, with a number for Protobuf and a name for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Any


class Kind(Enum):
    """What a field holds."""

    STRING = auto()
    BOOL = auto()
    UINT32 = auto()
    UINT64 = auto()
    INT32 = auto()
    INT64 = auto()
    #: Zigzag in Protobuf.
    SINT64 = auto()
    RAW = auto()
    MESSAGE = auto()


class Many(Enum):
    """How often."""

    ONE = auto()
    LIST = auto()
    #: By string.
    MAP = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of a message."""

    number: int
    kind: Kind
    many: Many = Many.ONE
    #: Name of the message it holds.
    of: str = ""
    #: JSON shows it even when it is zero: clients read it without asking.
    always: bool = False

    @property
    def zero(self) -> Any:
        """What it holds when it was not sent; a message is None then."""
        if self.many is Many.LIST:
            return ()
        return MappingProxyType({}) if self.many is Many.MAP else ZEROS[self.kind]


ZEROS: Mapping[Kind, Any] = {
    Kind.STRING: "",
    Kind.BOOL: False,
    Kind.UINT32: 0,
    Kind.UINT64: 0,
    Kind.INT32: 0,
    Kind.INT64: 0,
    Kind.SINT64: 0,
    Kind.RAW: b"",
    Kind.MESSAGE: None,
}

#: The least and the greatest number of each kind.
RANGES: Mapping[Kind, tuple[int, int]] = {
    Kind.UINT32: (0, 2**32 - 1),
    Kind.UINT64: (0, 2**64 - 1),
    Kind.INT32: (-(2**31), 2**31 - 1),
    Kind.INT64: (-(2**63), 2**63 - 1),
    Kind.SINT64: (-(2**63), 2**63 - 1),
}

#: Messages may hold one another so deep; only filters do at all.
DEPTH = 32


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of a message, in the order of their numbers."""

    fields: Mapping[str, Field]
    by_number: Mapping[int, tuple[str, Field]] = field(init=False)
    #: What each field holds when it was not sent.
    zeros: Mapping[str, Any] = field(init=False)
    #: What JSON shows in any case.
    relied_on: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_number", {one.number: (name, one) for name, one in self.fields.items()})
        object.__setattr__(self, "zeros", {name: one.zero for name, one in self.fields.items()})
        relied_on = {name: {} if one.many is Many.MAP else one.zero for name, one in self.fields.items() if one.always}
        object.__setattr__(self, "relied_on", relied_on)
