"""Completing a task and taking it up again."""

from __future__ import annotations

from aiohttp import web

from hub.records import Records
from hub.requests import no_body
from models.resources.tasks import TASKS
from models.tasks import TaskStatus

RECORDS = Records(TASKS)


async def complete(request: web.Request) -> web.Response:
    """Mark a task as completed; one that is completed stays as it is."""
    await no_body(request)
    return await RECORDS.change(request, {"status": TaskStatus.COMPLETED.value})


async def reopen(request: web.Request) -> web.Response:
    """Mark a task as pending, whatever became of it."""
    await no_body(request)
    return await RECORDS.change(request, {"status": TaskStatus.PENDING.value})
