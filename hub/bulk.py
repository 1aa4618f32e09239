"""Changes of many records: POST /api/v1/<resource>/bulk_update/. Up to some hundreds at once, more by a job."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from hub import idempotency
from hub.errors import Forbidden, Handler
from hub.etags import IF_MATCH
from hub.requests import VIEWER, context, parse_object
from hub.responses import respond
from models import access, jobs
from models.access import may
from models.database import transaction
from models.resources import bulk
from models.resources.bulk import Bulk, Result
from models.resources.jobs import JOBS
from models.resources.mistakes import Invalid
from models.resources.resource import Resource

#: Records that are changed in the request itself, in one transaction.
AT_ONCE = bulk.CHUNK

NO_EXPORT = "bulk_update exports nothing; it can update and delete."


def handler(resource: Resource) -> Handler:
    """The handler that changes many records of a resource."""

    async def bulk_update(request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = parse_object(raw)
        if body.get("action") == "export":
            return respond({"error": NO_EXPORT}, status=400)
        return await change(request, resource, body, raw)

    return bulk_update


async def change(request: web.Request, resource: Resource, body: dict[str, Any], raw: bytes) -> web.Response:
    """Do what {ids, action, data} says and answer what became of each record; or begin the job that will."""
    viewer = request[VIEWER]
    if not any(may(viewer, access.Action(action), resource.entity, None) for action in bulk.Action):
        raise Forbidden
    asked = bulk.read(resource, body)
    if IF_MATCH in request.headers:
        raise Invalid({IF_MATCH: ["A change of many records takes none."]})

    async def at_once() -> idempotency.Answer:
        async with transaction(context(request)):
            done = await bulk.apply(asked, viewer, asked.ids)
        return idempotency.Answer(status=200, body=_answer(asked, done))

    async def by_a_job() -> idempotency.Answer:
        parameters = {"entity": resource.entity, **body, "ids": asked.ids}
        id = await jobs.start(f"bulk_{asked.action}", parameters, context(request), total=len(asked.ids))
        row = await JOBS.detailed.one(id)
        assert row is not None
        return idempotency.Answer(status=202, body=JOBS.show(row, viewer, listed=False))

    async def permitted(answer: dict[str, Any]) -> bool:
        # It has nothing of the records but the ids that the caller named.
        return True

    return await idempotency.once(request, raw, at_once if len(asked.ids) <= AT_ONCE else by_a_job, permitted)


def _answer(asked: Bulk, done: bulk.Done) -> dict[str, Any]:
    result = Result.UPDATED if asked.action is bulk.Action.UPDATE else Result.DELETED
    return {
        "success": not done.failed,
        result.value: done.count(result),
        "unchanged": done.count(Result.UNCHANGED),
        "failed": len(done.failed),
        "results": [outcome.json() for outcome in done.outcomes],
    }
