"""JSON out: times in UTC with Z, decimals as strings, UUIDs as text."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web

#: UUID too: asyncpg has a class of its own below it, which orjson does not know.
_TEXT = (UUID, Decimal, IPv4Address, IPv6Address, IPv4Interface, IPv6Interface)


def _text(value: object) -> str:
    if isinstance(value, _TEXT):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in a response")


def dump(value: Any) -> bytes:
    """A value as JSON bytes. Times must be aware."""
    return orjson.dumps(value, default=_text, option=orjson.OPT_UTC_Z)


def respond(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response."""
    return ready(dump(value), status=status, headers=headers)


def ready(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response whose JSON is there already."""
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
