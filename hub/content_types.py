"""The list of kinds of records and their numbers."""

from __future__ import annotations

from aiohttp import web

from hub.responses import respond
from models.resources.content_types import CONTENT_TYPES


async def index(_request: web.Request) -> web.Response:
    """Every number with the name it stands for."""
    return respond([{"id": number, "model": name} for name, number in CONTENT_TYPES.items()])
