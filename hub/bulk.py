"""Changes of many records: POST /api/v1/<resource>/bulk_update/. Up to some hundreds at once, more by a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from hub import idempotency
from hub.errors import Forbidden, Handler
from hub.etags import IF_MATCH
from hub.openapi import resources as described
from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import COUNT, ERROR, FLAG, TEXT, Maybe, Named, Shape, by_name, fields, many, nullable
from hub.requests import VIEWER, context, parse_object
from hub.responses import respond
from models import access, jobs
from models.access import may
from models.database import transaction
from models.resources import bulk
from models.resources.bulk import Bulk, Result
from models.resources.custom.changes import COLUMN
from models.resources.jobs import JOBS
from models.resources.kinds import SERIAL, Choice, Schema
from models.resources.mistakes import Invalid
from models.resources.resource import Resource

#: Records that are changed in the request itself, in one transaction.
AT_ONCE = bulk.CHUNK

NO_EXPORT = "bulk_update exports nothing; it can update and delete."


def handler(resource: Resource) -> Handler:
    """The handler that changes many records of a resource."""

    @documented(_operation(resource))
    async def bulk_update(request: web.Request) -> web.StreamResponse:
        """Change or delete many records: to each what a single change would do or say."""
        raw = await request.read()
        body = parse_object(raw)
        if body.get("action") == "export":
            return respond({"error": NO_EXPORT}, status=400)
        return await change(request, resource, body, raw)

    return bulk_update


def ids_of(resource: Resource) -> Schema:
    """A list of the ids of its records."""
    return {**many(resource.key), "minItems": 1, "maxItems": bulk.MOST}


def changes_of(resource: Resource) -> Schema:
    """What to store in each."""
    of = described.body(resource, partial=True).schema
    settable = {name: shape for name, shape in of["properties"].items() if name != COLUMN}
    return {**of, "properties": settable, "minProperties": 1}


OUTCOME = Named(
    "Outcome", fields(id=SERIAL, result=Choice(Result), detail=Maybe(TEXT), errors=Maybe(by_name(many(TEXT))))
)
COUNTS: Mapping[str, Shape] = {"success": FLAG, "unchanged": COUNT, "failed": COUNT, "results": many(OUTCOME)}
DONE = Named("BulkResult", fields(COUNTS, updated=Maybe(COUNT), deleted=Maybe(COUNT)))


def _operation(resource: Resource) -> Operation:
    ids = ids_of(resource)
    update = fields(ids=ids, action=_word(bulk.Action.UPDATE), data=changes_of(resource))
    delete = fields(ids=ids, action=_word(bulk.Action.DELETE), data=Maybe(nullable(fields())))
    name = f"{described.name_of(resource)}Bulk"
    answers = {200: DONE, 202: described.detailed(JOBS), 400: ERROR}
    return Operation(
        body=Named(name, {"anyOf": [update, delete]}), answers=answers, refusals=(Forbidden,), idempotent=True
    )


def _word(action: bulk.Action) -> Schema:
    return {"type": "string", "enum": [action.value]}


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
