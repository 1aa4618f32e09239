"""Moving a deal from stage to stage."""

from __future__ import annotations

from aiohttp import web

from hub.records import Records
from hub.requests import only, read_object
from models.resources.mistakes import Invalid
from models.resources.opportunities import OPPORTUNITIES
from models.resources.resource import MISSING

RECORDS = Records(OPPORTUNITIES)


async def update_stage(request: web.Request) -> web.Response:
    """Move a deal to a stage. Closing it notes the day, taking it up again forgets that."""
    body = await read_object(request)
    only(body, ("stage",))
    if "stage" not in body:
        raise Invalid({"stage": [MISSING]})
    return await RECORDS.change(request, body)
