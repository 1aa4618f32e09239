"""JSON out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from models.wire import dump


def respond(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON response."""
    return ready(dump(value), status=status, headers=headers)


def ready(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A response whose JSON is there already."""
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")
