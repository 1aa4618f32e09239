"""Imports in one request, under /api/v1/import/{type}/ and /api/v1/<resource>/import/, as the original API has them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic
from typing import Any
from uuid import UUID

from aiohttp import web

from hub import imports
from hub.errors import Declined, Forbidden, Handler
from hub.keys import POOL
from hub.openapi.imports import BEGUN, DONE, TYPE, upload
from hub.openapi.operation import Content, Operation, documented
from hub.requests import context
from hub.responses import respond
from hub.uploads import received
from models.database import transaction
from models.imports import plan
from models.jobs import JobStatus
from models.resources.resource import Resource

#: Seconds an import in one request waits for its job; the web client gives up after ten.
WAIT = 8.0
#: Bad rows that are listed.
MOST_ERRORS = 100

#: The columns of an empty file to fill in, as the original gave them.
HEADERS = {
    "leads": "first_name,last_name,email,phone,company_name,job_title,lead_source,status,priority",
    "contacts": "first_name,last_name,email,phone,mobile,company_name,job_title,contact_type",
    "opportunities": "name,company_name,amount,stage,probability,expected_close_date",
    "tasks": "title,description,task_type,priority,status,due_date",
}

OPERATION = Operation(body=upload(), answers={200: DONE, 202: BEGUN, 400: DONE}, refusals=(Forbidden,))


@documented(Operation(answers={200: Content("text/csv")}, path={"type": TYPE}, refusals=(Declined,)))
async def header(request: web.Request) -> web.Response:
    """The first line of a file to fill in."""
    kind = named(request).path
    disposition = f'attachment; filename="{kind}_import.csv"'
    return web.Response(
        text=HEADERS[kind] + "\r\n", content_type="text/csv", headers={"Content-Disposition": disposition}
    )


@documented(replace(OPERATION, path={"type": TYPE}, refusals=(Forbidden, Declined)))
async def at_once(request: web.Request) -> web.Response:
    """Upload a file and run its import in one request: waits a while for the job, and else answers 202 with it."""
    return await _imported(request, named(request))


def handler(resource: Resource) -> Handler:
    """The handler that imports records of a resource in one request."""

    @documented(OPERATION)
    async def import_records(request: web.Request) -> web.StreamResponse:
        """Upload a file and run its import in one request: waits a while for the job, and else answers 202 with it."""
        return await _imported(request, resource)

    return import_records


def named(request: web.Request) -> Resource:
    """The resource in the URL. Raises Declined for what is none that can be imported and exported."""
    kind = request.match_info["type"]
    if kind not in plan.TYPES:
        raise Declined(f"Unsupported type: {kind[:50]}. Supported: {', '.join(plan.TYPES)}.")
    return plan.TYPES[kind]


async def _imported(request: web.Request, resource: Resource) -> web.Response:
    async with received(request) as given:
        imports.allow(request, resource)
        mapped = await imports.keep(request, given, resource)
        plan.table(resource.path, given.detected, imports.options(given), mapped)
        async with transaction(context(request)):
            job = await imports.start(request, given.id, "import", {"write": True})
    return await _answer(request, given.id, job)


async def _answer(request: web.Request, id: UUID, job: UUID) -> web.Response:
    """What the original answered, once the job is over; before that, the job."""
    until = monotonic() + WAIT
    while (shown := await imports.shown_job(request, job))["status"] not in imports.OVER:
        if monotonic() > until:
            return respond({"import": id, "job": shown}, status=202)
        await asyncio.sleep(0.05)
    result, done = shown["result"], shown["status"] == JobStatus.COMPLETED
    row = await imports.row(id)
    strict = not row["options"].get("skip_errors", True)
    said = {
        "success": done and not (strict and result["errors"]),
        "imported": sum(result.get(word, 0) for word in ("created", "updated", "unchanged")),
        "errors": result.get("errors", shown["failed"]),
        "error_details": await _bad_rows(request, id, row["detected"]["columns"]),
        **({} if done else {"error": shown["error"] or "The job was cancelled."}),
        "result": result,
        "import": id,
        "job": job,
    }
    return respond(said, status=200 if done else 400)


async def _bad_rows(request: web.Request, id: UUID, columns: list[str]) -> list[dict[str, Any]]:
    rows = await request.app[POOL].fetch(f"{imports.BAD_ROWS} LIMIT {MOST_ERRORS}", id)
    return [
        {
            "row": row["n"],
            "error": imports.sentence(row["errors"]),
            "data": dict(zip(columns, row["cells"], strict=False)),
        }
        for row in rows
    ]
