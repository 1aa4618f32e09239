"""Jobs that give custom fields the indexes they need."""

from __future__ import annotations

from aiohttp import web

from hub.definitions import DEFINITIONS
from hub.errors import Conflict
from hub.requests import context
from models import database, jobs
from models.database import transaction
from models.resources.custom import filtering
from models.resources.custom.filtering import JOB
from models.resources.mistakes import NotReady

#: Held by whoever begins such a job, so that there is one for a field at a time.
LOCK = "SELECT pg_advisory_xact_lock(0x5B17D0)"

OF_FIELD = (
    "SELECT id, status FROM jobs WHERE kind = $1 AND parameters ->> 'field' = $2 ORDER BY created_at DESC LIMIT 1"
)

OPEN = ("pending", "running")


async def settle(request: web.Request, gone: int | None = None) -> None:
    """Begin jobs for the fields whose indexes are not what they need; `gone` was deleted a moment ago."""
    await request.app[DEFINITIONS].refresh()
    fields = [field.id for field in request.app[DEFINITIONS].now.every if not filtering.settled(field)]
    for field in [*fields, *([] if gone is None else [gone])]:
        async with transaction(context(request)):
            await database.execute(LOCK, [])
            latest = await database.execute(OF_FIELD, [JOB, str(field)])
            if not latest or latest[0]["status"] not in OPEN:
                await jobs.start(JOB, {"field": field}, context(request))


async def refused(error: NotReady) -> Conflict:
    """What to say to somebody who filters by a field that has not its index yet."""
    latest = await database.execute(OF_FIELD, [JOB, str(error.field)])
    job = f" Job {latest[0]['id']} is {latest[0]['status']}." if latest else ""
    return Conflict(f"{error}{job}")
