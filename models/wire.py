"""JSON as clients get it: times in UTC with Z, decimals as strings, UUIDs as text."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any
from uuid import UUID

import orjson

#: UUID too: asyncpg has a class of its own below it, which orjson does not know.
_TEXT = (UUID, Decimal, IPv4Address, IPv6Address, IPv4Interface, IPv6Interface)


def _text(value: object) -> str:
    if isinstance(value, _TEXT):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a response")


def dump(value: Any) -> bytes:
    """A value as JSON bytes. Times must be aware."""
    return orjson.dumps(value, default=_text, option=orjson.OPT_UTC_Z)
