"""Imports under /api/v1/imports/, step by step.

A file is uploaded and looked at; its mapping is proposed and may be changed; a dry run says what would become of its
rows; a run is a job that writes them; an undo is a job that takes them back.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web

from hub import idempotency
from hub.errors import Conflict, Forbidden
from hub.keys import POOL
from hub.openapi.imports import CHANGES, IMPORT, TYPE
from hub.openapi.imports import upload as upload_of
from hub.openapi.operation import Content, Operation, documented
from hub.openapi.resources import detailed
from hub.openapi.shapes import fields
from hub.records import Records
from hub.requests import VIEWER, context, no_body, only, read_object
from hub.responses import respond
from hub.uploads import Upload, looked_at_again, received
from models import database, jobs
from models.access import Action, may
from models.database import transaction
from models.imports import cells, plan
from models.jobs import JobStatus
from models.resources.imports import IMPORTS
from models.resources.jobs import JOBS
from models.resources.mistakes import Invalid
from models.resources.resource import Resource
from models.resources.selection import Row

RECORDS = Records(IMPORTS)

NOT_RECEIVED = "This file has not been received yet."

#: What is over and what can be begun anew.
OVER = (JobStatus.COMPLETED, JobStatus.CANCELLED, JobStatus.FAILED)

KEEP = """
UPDATE imports SET type = $2, file_name = $3, size = $4, detected = $5, options = $6, mapping = $7 WHERE id = $1
"""
COUNTS = """
SELECT type, (detected ->> 'lines')::int AS lines,
    (SELECT count(*) FROM import_changes WHERE import_id = $1)::int AS changes
FROM imports WHERE id = $1
"""
BAD_ROWS = """
SELECT n, cells, coalesce(errors, refused) AS errors FROM import_rows
WHERE import_id = $1 AND (errors IS NOT NULL OR refused IS NOT NULL) ORDER BY n
"""

#: What can be asked of one import.
OF_ONE = Operation(answers={200: IMPORT}, path={"id": IMPORTS.key})
BEGINNING = replace(
    OF_ONE, body=fields(), bodiless=True, answers={202: detailed(JOBS)}, refusals=(Conflict,), idempotent=True
)


@documented(Operation(body=upload_of(type=TYPE), answers={201: IMPORT}, refusals=(Forbidden,), idempotent=True))
async def upload(request: web.Request) -> web.Response:
    """A new file: what it seems to be, and a mapping by the names of its columns. Repeatable with a key."""
    async with received(request) as given:

        async def work() -> idempotency.Answer:
            resource = _typed(given.fields.pop("type", ""))
            allow(request, resource)
            await keep(request, given, resource)
            return idempotency.Answer(status=201, body=await _shown(request, await row(given.id)))

        async def permitted(answer: dict[str, Any]) -> bool:
            return await IMPORTS.readable(UUID(answer["id"]), request[VIEWER])

        response = await idempotency.once(request, given.digest, work, permitted)
    if idempotency.REPEATED in response.headers:
        await request.app[POOL].execute("DELETE FROM imports WHERE id = $1", given.id)
    return response


@documented(OF_ONE)
async def retrieve(request: web.Request) -> web.Response:
    """One import: its file, mapping and choices, what is wrong with them, and its first rows as they would be read."""
    return respond(await _shown(request, await RECORDS.found(request)))


@documented(replace(OF_ONE, body=CHANGES, refusals=(Conflict,)))
async def change(request: web.Request) -> web.Response:
    """Another mapping or other options; what is wrong with them is said among the problems."""
    row = await RECORDS.found(request)
    body = await read_object(request)
    only(body, ("mapping", "options"))
    async with transaction(context(request)):
        held = await _held(row["id"])
        if not isinstance(given := body.get("options", {}), dict):
            raise Invalid({"options": ["Must be a JSON object."]})
        options = {**held["options"], **plan.options(given)}
        detected = held["detected"]
        if plan.FORM.keys() & given.keys():
            detected = await looked_at_again(request.app[POOL], row["id"], detected, plan.form(detected, options))
        mapped: dict[str, Any] = body["mapping"] if "mapping" in body else held["mapping"]
        if "mapping" in body:
            plan.table(held["type"], detected, options, mapped)
        elif given and not _fits(held["type"], detected, options, mapped):
            mapped = plan.proposed(plan.TYPES[held["type"]], detected["columns"], options)
        await database.execute(
            "UPDATE imports SET detected = $2, options = $3, mapping = $4 WHERE id = $1",
            [row["id"], *(orjson.dumps(value).decode() for value in (detected, options, mapped))],
        )
    return await retrieve(request)


@documented(replace(OF_ONE, answers={204: None}, refusals=(Conflict,)))
async def delete(request: web.Request) -> web.Response:
    """Remove a file, its rows and its errors; what was imported stays and can no longer be undone."""
    row = await RECORDS.found(request)
    async with transaction(context(request)):
        await _held(row["id"])
        await database.execute("DELETE FROM imports WHERE id = $1", [row["id"]])
    return web.Response(status=204)


@documented(BEGINNING)
async def dry_run(request: web.Request) -> web.Response:
    """Begin to check every row, writing nothing."""
    return await _begin(request, "import", write=False)


@documented(BEGINNING)
async def run(request: web.Request) -> web.Response:
    """Begin to write the rows as records."""
    return await _begin(request, "import", write=True)


@documented(BEGINNING)
async def undo(request: web.Request) -> web.Response:
    """Begin to take back what was written."""
    return await _begin(request, "import_undo")


@documented(replace(OF_ONE, answers={200: Content("text/csv")}, refusals=(Conflict,)))
async def errors(request: web.Request) -> web.StreamResponse:
    """The rows that were not taken, as CSV: row, error, and their cells under the names of the columns."""
    row = await RECORDS.found(request)
    if not row["detected"]:
        raise Conflict(NOT_RECEIVED)
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="errors_{row["id"]}.csv"'})
    response.content_type, response.charset = "text/csv", "utf-8"
    await response.prepare(request)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["row", "error", *map(cells.escaped, row["detected"]["columns"])])
    escaped_already = row["detected"]["format"] == "csv"
    async with request.app[POOL].acquire() as connection, connection.transaction():
        async for bad in connection.cursor(BAD_ROWS, row["id"], prefetch=500):
            original = (cells.plain(cell) if escaped_already else cell for cell in bad["cells"])
            writer.writerow([bad["n"], sentence(bad["errors"]), *map(cells.escaped, original)])
            if text.tell() > 64 * 1024:
                await response.write(text.getvalue().encode())
                text.seek(0)
                text.truncate()
    await response.write(text.getvalue().encode())
    await response.write_eof()
    return response


def _typed(kind: str) -> Resource:
    if kind not in plan.TYPES:
        raise Invalid({"type": [f"Must be one of {', '.join(plan.TYPES)}."]})
    return plan.TYPES[kind]


def allow(request: web.Request, resource: Resource) -> None:
    """Raise Forbidden unless the viewer may make records of a resource."""
    if not may(request[VIEWER], Action.CREATE, resource.entity, None):
        raise Forbidden


def options(given: Upload) -> dict[str, Any]:
    """What was chosen in the fields of a body. Raises Invalid."""
    return plan.options({name: text for name, text in given.fields.items() if name != "mapping"})


async def keep(request: web.Request, given: Upload, resource: Resource) -> dict[str, Any]:
    """Note what was uploaded, and what is to be done with it; the mapping given or proposed. Raises Invalid."""
    chosen = options(given)
    if plan.FORM.keys() & chosen.keys():
        form = plan.form(given.detected, chosen)
        given.detected = await looked_at_again(request.app[POOL], given.id, given.detected, form)
    try:
        mapped: dict[str, Any] = orjson.loads(given.fields.get("mapping") or "null")
    except orjson.JSONDecodeError:
        raise Invalid({"mapping": ["Is not valid JSON."]}) from None
    if mapped:
        plan.table(resource.path, given.detected, chosen, mapped)
    else:
        mapped = plan.proposed(resource, given.detected["columns"], chosen)
    values = (orjson.dumps(value).decode() for value in (given.detected, chosen, mapped))
    await database.execute(KEEP, [given.id, resource.path, given.name, given.size, *values])
    return mapped


def _fits(kind: str, detected: Mapping[str, Any], options: Mapping[str, Any], mapped: Mapping[str, Any]) -> bool:
    try:
        plan.table(kind, detected, options, mapped)
    except Invalid:
        return False
    return True


async def row(id: UUID) -> Row:
    """An import that is there, in detail."""
    found = await IMPORTS.detailed.one(id)
    assert found is not None
    return found


async def _held(id: UUID) -> Row:
    """The import, locked. Raises Conflict while a job is at work on it."""
    rows = await database.execute(
        """SELECT i.*, j.status FROM imports i LEFT JOIN jobs j ON j.id = i.job WHERE i.id = $1 FOR UPDATE OF i""", [id]
    )
    if not rows:
        raise Conflict("This import was removed.")
    row = rows[0]
    if row["status"] is not None and row["status"] not in OVER:
        raise Conflict("A job is at work on this import.")
    read = {name: _json(row[name]) for name in ("detected", "options", "mapping")}
    if not read["detected"]:
        raise Conflict(NOT_RECEIVED)
    return {**row, **read}


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str) else value


async def _begin(request: web.Request, kind: str, **parameters: Any) -> web.Response:
    row = await RECORDS.found(request)
    raw = await no_body(request)

    async def work() -> idempotency.Answer:
        async with transaction(context(request)):
            held = await _held(row["id"])
            if kind == "import":
                if held["run"] is not None and parameters["write"]:
                    raise Conflict("This import was run. Undo it first, or upload the file again.")
                plan.table(held["type"], held["detected"], held["options"], held["mapping"])
            elif held["run"] is None:
                raise Conflict("This import was not run, or undone already.")
            job = await start(request, row["id"], kind, parameters)
        return idempotency.Answer(status=202, body=await shown_job(request, job))

    async def permitted(answer: dict[str, Any]) -> bool:
        return await JOBS.readable(UUID(answer["id"]), request[VIEWER])

    return await idempotency.once(request, raw, work, permitted)


async def start(request: web.Request, id: UUID, kind: str, parameters: Mapping[str, Any]) -> UUID:
    """Begin a job on an import; the job's id."""
    (count,) = await database.execute(COUNTS, [id])
    entity = plan.TYPES[count["type"]].entity
    total = count["changes"] if kind == "import_undo" else 2 * count["lines"]
    job = await jobs.start(kind, {"import": str(id), "entity": entity, **parameters}, context(request), total=total)
    run = job if parameters.get("write") else None
    await database.execute("UPDATE imports SET job = $2, run = coalesce($3, run) WHERE id = $1", [id, job, run])
    return job


async def shown_job(request: web.Request, id: UUID) -> dict[str, Any]:
    """A job as it is now."""
    row = await JOBS.detailed.one(id)
    assert row is not None
    return JOBS.show(row, request[VIEWER], listed=False)


async def _shown(request: web.Request, row: Row) -> dict[str, Any]:
    """An import with its job, what is wrong with it, and its first rows as they would be read."""
    shown = IMPORTS.show(row, request[VIEWER], listed=False)
    shown["job_detail"] = await shown_job(request, row["job"]) if row["job"] else None
    if not row["detected"]:
        return {**shown, "problems": {"file": [NOT_RECEIVED]}, "preview": []}
    problems: dict[str, list[str]] = {}
    preview = []
    try:
        table = plan.table(row["type"], row["detected"], row["options"], row["mapping"])
        first = 1 if table.form.header else 0
        records = list(enumerate(row["detected"]["rows"], 1))[first:]
        preview = [{"row": r.number, "values": {**r.values, **r.sums}, "errors": r.errors} for r in table.rows(records)]
    except Invalid as error:
        problems = error.messages
    return {**shown, "problems": problems, "preview": preview}


def sentence(errors: str) -> str:
    """What is wrong with a row, in one line."""
    return "; ".join(f"{name}: {text}" for name, text in orjson.loads(errors).items())
