"""Long work under /api/v1/jobs/: how far it is, ending it, going on with it after a failure."""

from __future__ import annotations

from aiohttp import web

from hub.errors import Conflict
from hub.records import Records
from hub.requests import VIEWER
from hub.responses import respond
from models import jobs
from models.resources.jobs import JOBS

RECORDS = Records(JOBS)


async def cancel(request: web.Request) -> web.Response:
    """End a job before its next step; what it has done stays done."""
    row = await RECORDS.found(request)
    if not await jobs.cancel(row["id"]):
        raise Conflict(f"This job is {row['status']} already.")
    return await _shown(request)


async def resume(request: web.Request) -> web.Response:
    """Go on with a failed job at the step that failed."""
    row = await RECORDS.found(request)
    if not await jobs.resume(row["id"]):
        raise Conflict(f"Only a failed job can be resumed, this one is {row['status']}.")
    return await _shown(request)


async def _shown(request: web.Request) -> web.Response:
    return respond(JOBS.show(await RECORDS.found(request), request[VIEWER], listed=False))
