"""Imports under /api/v1/imports/ and, in one request, /api/v1/import/{type}/.

A file is uploaded and looked at; its mapping is proposed and may be changed; a dry run says what would become of its
rows; a run is a job that writes them; an undo is a job that takes them back.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Mapping
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web

from hub import idempotency
from hub.errors import Conflict, Forbidden
from hub.keys import POOL
from hub.records import Records
from hub.requests import VIEWER, context, only, read_object
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

#: Seconds an import in one request waits for its job; the web client gives up after ten.
WAIT = 8.0
#: Bad rows that are listed.
MOST_ERRORS = 100

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

#: The columns of an empty file to fill in, as the original gave them.
HEADERS = {
    "leads": "first_name,last_name,email,phone,company_name,job_title,lead_source,status,priority",
    "contacts": "first_name,last_name,email,phone,mobile,company_name,job_title,contact_type",
    "opportunities": "name,company_name,amount,stage,probability,expected_close_date",
    "tasks": "title,description,task_type,priority,status,due_date",
}


async def upload(request: web.Request) -> web.Response:
    """A new file: what it seems to be, and a mapping by the names of its columns. Repeatable with a key."""
    async with received(request) as given:

        async def work() -> idempotency.Answer:
            resource = _resource(request, given.fields.pop("type", ""))
            await _kept(request, given, resource)
            return idempotency.Answer(status=201, body=await _shown(request, await _row(given.id)))

        async def permitted(answer: dict[str, Any]) -> bool:
            return await IMPORTS.readable(UUID(answer["id"]), request[VIEWER])

        response = await idempotency.once(request, given.digest, work, permitted)
    if idempotency.REPEATED in response.headers:
        await request.app[POOL].execute("DELETE FROM imports WHERE id = $1", given.id)
    return response


async def retrieve(request: web.Request) -> web.Response:
    """One import: its file, mapping and choices, what is wrong with them, and its first rows as they would be read."""
    return respond(await _shown(request, await RECORDS.found(request)))


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


async def delete(request: web.Request) -> web.Response:
    """Remove a file, its rows and its errors; what was imported stays and can no longer be undone."""
    row = await RECORDS.found(request)
    async with transaction(context(request)):
        await _held(row["id"])
        await database.execute("DELETE FROM imports WHERE id = $1", [row["id"]])
    return web.Response(status=204)


async def dry_run(request: web.Request) -> web.Response:
    """Begin to check every row, writing nothing."""
    return await _begin(request, "import", write=False)


async def run(request: web.Request) -> web.Response:
    """Begin to write the rows as records."""
    return await _begin(request, "import", write=True)


async def undo(request: web.Request) -> web.Response:
    """Begin to take back what was written."""
    return await _begin(request, "import_undo")


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
            writer.writerow([bad["n"], _sentence(bad["errors"]), *map(cells.escaped, original)])
            if text.tell() > 64 * 1024:
                await response.write(text.getvalue().encode())
                text.seek(0)
                text.truncate()
    await response.write(text.getvalue().encode())
    await response.write_eof()
    return response


async def header(request: web.Request) -> web.Response:
    """The first line of a file to fill in."""
    kind = request.match_info["type"]
    if kind not in HEADERS:
        return _unknown(kind)
    disposition = f'attachment; filename="{kind}_import.csv"'
    return web.Response(
        text=HEADERS[kind] + "\r\n", content_type="text/csv", headers={"Content-Disposition": disposition}
    )


async def at_once(request: web.Request) -> web.Response:
    """Upload and run in one request: waits a while for the job, and else answers 202 with it."""
    kind = request.match_info["type"]
    if kind not in plan.TYPES:
        return _unknown(kind)
    async with received(request) as given:
        resource = _resource(request, kind)
        mapped = await _kept(request, given, resource)
        plan.table(kind, given.detected, _options(given), mapped)
        async with transaction(context(request)):
            job = await _start(request, given.id, "import", {"write": True})
    return await _answer(request, given.id, job)


def _unknown(kind: str) -> web.Response:
    return respond({"error": f"Unsupported type: {kind[:50]}. Supported: {', '.join(plan.TYPES)}."}, status=400)


def _resource(request: web.Request, kind: str) -> Resource:
    """The resource of that name, of which the viewer may make records. Raises Invalid and Forbidden."""
    if kind not in plan.TYPES:
        raise Invalid({"type": [f"Must be one of {', '.join(plan.TYPES)}."]})
    if not may(request[VIEWER], Action.CREATE, plan.TYPES[kind].entity, None):
        raise Forbidden
    return plan.TYPES[kind]


def _options(given: Upload) -> dict[str, Any]:
    return plan.options({name: text for name, text in given.fields.items() if name != "mapping"})


async def _kept(request: web.Request, given: Upload, resource: Resource) -> dict[str, Any]:
    """Note what was uploaded, and what is to be done with it; the mapping given or proposed. Raises Invalid."""
    options = _options(given)
    if plan.FORM.keys() & options.keys():
        form = plan.form(given.detected, options)
        given.detected = await looked_at_again(request.app[POOL], given.id, given.detected, form)
    try:
        mapped = orjson.loads(given.fields.get("mapping") or "null")
    except orjson.JSONDecodeError:
        raise Invalid({"mapping": ["Is not valid JSON."]}) from None
    if mapped:
        plan.table(resource.path, given.detected, options, mapped)
    else:
        mapped = plan.proposed(resource, given.detected["columns"], options)
    chosen: dict[str, Any] = mapped
    values = (orjson.dumps(value).decode() for value in (given.detected, options, chosen))
    await database.execute(KEEP, [given.id, resource.path, given.name, given.size, *values])
    return chosen


def _fits(kind: str, detected: Mapping[str, Any], options: Mapping[str, Any], mapped: Mapping[str, Any]) -> bool:
    try:
        plan.table(kind, detected, options, mapped)
    except Invalid:
        return False
    return True


async def _row(id: UUID) -> Row:
    row = await IMPORTS.detailed.one(id)
    assert row is not None
    return row


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
    raw = await request.read()

    async def work() -> idempotency.Answer:
        async with transaction(context(request)):
            held = await _held(row["id"])
            if kind == "import":
                if held["run"] is not None and parameters["write"]:
                    raise Conflict("This import was run. Undo it first, or upload the file again.")
                plan.table(held["type"], held["detected"], held["options"], held["mapping"])
            elif held["run"] is None:
                raise Conflict("This import was not run, or undone already.")
            job = await _start(request, row["id"], kind, parameters)
        return idempotency.Answer(status=202, body=await _job(request, job))

    async def permitted(answer: dict[str, Any]) -> bool:
        return await JOBS.readable(UUID(answer["id"]), request[VIEWER])

    return await idempotency.once(request, raw, work, permitted)


async def _start(request: web.Request, id: UUID, kind: str, parameters: Mapping[str, Any]) -> UUID:
    (count,) = await database.execute(COUNTS, [id])
    entity = plan.TYPES[count["type"]].entity
    total = count["changes"] if kind == "import_undo" else 2 * count["lines"]
    job = await jobs.start(kind, {"import": str(id), "entity": entity, **parameters}, context(request), total=total)
    run = job if parameters.get("write") else None
    await database.execute("UPDATE imports SET job = $2, run = coalesce($3, run) WHERE id = $1", [id, job, run])
    return job


async def _job(request: web.Request, id: UUID) -> dict[str, Any]:
    row = await JOBS.detailed.one(id)
    assert row is not None
    return JOBS.show(row, request[VIEWER], listed=False)


async def _shown(request: web.Request, row: Row) -> dict[str, Any]:
    """An import with its job, what is wrong with it, and its first rows as they would be read."""
    shown = IMPORTS.show(row, request[VIEWER], listed=False)
    shown["job_detail"] = await _job(request, row["job"]) if row["job"] else None
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


async def _answer(request: web.Request, id: UUID, job: UUID) -> web.Response:
    """What the original answered, once the job is over; before that, the job."""
    until = monotonic() + WAIT
    while (shown := await _job(request, job))["status"] not in OVER:
        if monotonic() > until:
            return respond({"import": id, "job": shown}, status=202)
        await asyncio.sleep(0.05)
    result = shown["result"]
    rows = await request.app[POOL].fetch(f"{BAD_ROWS} LIMIT {MOST_ERRORS}", id)
    columns = (await _row(id))["detected"]["columns"]
    details = [
        {
            "row": row["n"],
            "error": _sentence(row["errors"]),
            "data": dict(zip(columns, row["cells"], strict=False)),
        }
        for row in rows
    ]
    imported = result.get("created", 0) + result.get("updated", 0) + result.get("unchanged", 0)
    done = shown["status"] == JobStatus.COMPLETED
    strict = not (await _row(id))["options"].get("skip_errors", True)
    return respond(
        {
            "success": done and not (strict and result["errors"]),
            "imported": imported,
            "errors": result.get("errors", shown["failed"]),
            "error_details": details,
            **({} if done else {"error": shown["error"] or "The job was cancelled."}),
            "result": result,
            "import": id,
            "job": job,
        },
        status=200 if done else 400,
    )


def _sentence(errors: str) -> str:
    """What is wrong with a row, in one line."""
    return "; ".join(f"{name}: {text}" for name, text in orjson.loads(errors).items())
