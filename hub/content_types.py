"""The list of kinds of records and their numbers."""

from __future__ import annotations

from aiohttp import web

from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import fields, many
from hub.responses import respond
from models.resources.content_types import CONTENT_TYPES, Entity
from models.resources.kinds import Choice, Integer


@documented(Operation(answers={200: many(fields(id=Integer(1), model=Choice(Entity)))}))
async def index(_request: web.Request) -> web.Response:
    """Every number with the name it stands for."""
    return respond([{"id": number, "model": name} for name, number in CONTENT_TYPES.items()])
