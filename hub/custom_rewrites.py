"""Changes of a custom field that change what records have, each to be looked at before with `?preview=true`.

They are done at once for a few thousand records, and by a job for more.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from aiohttp import web

from hub import custom_indexes, pages
from hub.custom_fields import RECORDS
from hub.errors import Conflict, Forbidden, NotFound
from hub.openapi import resources as described
from hub.openapi.operation import Operation, Parameter, documented
from hub.openapi.shapes import ANYTHING, COUNT, FLAG, TEXT, Maybe, Named, either, fields, many
from hub.requests import VIEWER, context, only, parse_object, read_object
from hub.responses import respond
from models import database, jobs
from models.access import Action, may
from models.custom_fields import FieldType
from models.database import transaction
from models.resources.catalogue import RESOURCES
from models.resources.custom import rewriting
from models.resources.custom.changes import COLUMN
from models.resources.custom.defining import LABEL, OPTION, RULES, Options
from models.resources.custom.definition import Definition
from models.resources.custom.rewriting import AT_ONCE, Rewriting, What
from models.resources.custom_fields import CUSTOM_FIELDS
from models.resources.kinds import Choice, Flag, Uuid
from models.resources.mistakes import Invalid, Mistake

#: The kind of these jobs.
KIND = "custom_field"

PREVIEW = "preview"

#: Columns that may come with a type.
WITH_TYPE = ("field_type", *RULES, "regex_error_message", "default_value")

#: A job that is at work on a field, or has failed half-way.
AT_WORK = """
SELECT id FROM jobs WHERE kind = $1 AND parameters -> 'before' ->> 'id' = $2::text
AND status IN ('pending', 'running', 'failed')
"""


#: What would be done.
LOOK = Named(
    "RewritingPreview",
    fields(records=COUNT, lost=COUNT, examples=many(fields(value=ANYTHING, records=COUNT, error=TEXT)), exact=FLAG),
)
BEGUN = Named("RewritingJob", fields(job=Uuid()))
DONE = Named("Rewritten", fields(changed=COUNT, lost=COUNT))

REWRITING = Operation(
    answers={200: either(LOOK, DONE), 202: BEGUN},
    parameters=(Parameter(name=PREVIEW, shape=Flag(), about="Whether to look at what would be done, and no more."),),
    refusals=(Forbidden, Conflict),
)
_TYPE = fields(
    {name: Maybe(described.given(CUSTOM_FIELDS.writable[name])) for name in WITH_TYPE if name != "field_type"},
    field_type=Choice(FieldType),
    lose=Maybe(FLAG),
)


@documented(replace(REWRITING, answers={200: LOOK, 202: BEGUN, 204: None}))
async def delete(request: web.Request) -> web.StreamResponse:
    """Delete a field and the values records have of it; their audit trail keeps them."""
    row = await _row(request, Action.DELETE)
    return await _do(request, Rewriting(what=What.DELETE, before=row, after={}), lose=True)


@documented(replace(REWRITING, body=fields({"from": TEXT, "to": OPTION, "label": Maybe(LABEL)})))
async def rename_option(request: web.Request) -> web.StreamResponse:
    """Give an option another value, in the field and in all records that have it."""
    row = await _row(request, Action.UPDATE)
    body = await read_object(request)
    only(body, ("from", "to", "label"))
    try:
        (option,) = Options().read([{"value": body.get("to"), "label": body.get("label", body.get("to"))}])
    except Mistake as mistake:
        raise Invalid({"to": [str(mistake)]}) from None
    try:
        planned = rewriting.renamed_option(row, str(body.get("from")), option)
    except Mistake as mistake:
        raise Invalid({"from": [str(mistake)]}) from None
    return await _do(request, planned, lose=True)


@documented(replace(REWRITING, body=_TYPE))
async def change_type(request: web.Request) -> web.StreamResponse:
    """Give a field another type, with the rules named; values are read again as the new type reads them."""
    row = await _row(request, Action.UPDATE)
    body = await read_object(request)
    only(body, (*WITH_TYPE, "lose"))
    if "field_type" not in body:
        raise Invalid({"field_type": [f"Must be one of {', '.join(FieldType)}."]})
    columns, wrong = {}, {}
    for name in WITH_TYPE:
        try:
            if name in body:
                columns[name] = CUSTOM_FIELDS.writable[name].read(body[name])
        except Mistake as mistake:
            wrong[name] = [str(mistake)]
    if wrong:
        raise Invalid(wrong)
    return await _do(request, rewriting.changed_type(row, columns), lose=body.get("lose") is True)


_CHANGE = described.change(CUSTOM_FIELDS, partial=True)
_PUT = described.change(CUSTOM_FIELDS, partial=False)


@documented(replace(_CHANGE, refusals=(*_CHANGE.refusals, Conflict)))
async def patch(request: web.Request) -> web.StreamResponse:
    """Change a field, but not so that records keep options it no longer has."""
    await _check_options(request)
    return await RECORDS.patch(request)


@documented(replace(_PUT, refusals=(*_PUT.refusals, Conflict)))
async def put(request: web.Request) -> web.StreamResponse:
    """The same with every required column."""
    await _check_options(request)
    return await RECORDS.put(request)


async def _check_options(request: web.Request) -> None:
    """Raise Conflict if the body leaves out an option that records have."""
    row = await _row(request, Action.UPDATE)
    try:
        kept = {
            one["value"] for one in Options().read(parse_object(await request.read()).get("options", row["options"]))
        }
    except Mistake:
        return  # it is refused where the rest of the body is read
    gone = [one["value"] for one in row["options"] if one["value"] not in kept]
    table = RESOURCES[Definition.of(row).entity].table
    if not gone:
        return
    (used,) = await database.execute(
        f"SELECT count(*) FROM {table} WHERE {COLUMN} -> $1 ?| $2::text[]", [row["name"], gone]
    )
    if used["count"]:
        raise Conflict(f"{used['count']} records have {' or '.join(gone)}; rename_option/ changes them with the field.")


async def _do(request: web.Request, planned: Rewriting, *, lose: bool) -> web.StreamResponse:
    """Do it, now or by a job, or say what it would do."""
    given = pages.query(request)
    pages.allowed(given, (PREVIEW,))
    try:
        looking = Flag().read_text(given.get(PREVIEW, "false"))
    except Mistake as mistake:
        raise Invalid({PREVIEW: [str(mistake)]}) from None
    preview = await rewriting.preview(planned)
    if looking:
        return respond(asdict(preview))
    if not lose and (preview.lost or not preview.exact):
        said = f"{preview.lost} of {preview.records} records would lose their value"
        unknown = "" if preview.exact else "; not all values were looked at, so it may be more"
        raise Conflict(f'{said}{unknown}. Look at it with ?preview=true, and say "lose": true.')
    if preview.records > AT_ONCE:
        async with transaction(context(request)):
            await planned.begin()
            job = await jobs.start(KIND, planned.json(), context(request), total=preview.records)
        await custom_indexes.settle(request)
        return respond({"job": str(job)}, status=202)
    changed, lost = await _at_once(request, planned)
    deleted = planned.what is What.DELETE and planned.before["is_filterable"]
    await custom_indexes.settle(request, planned.before["id"] if deleted else None)
    if planned.what is What.DELETE:
        return web.Response(status=204)
    return respond({"changed": changed, "lost": lost})


async def _at_once(request: web.Request, planned: Rewriting) -> tuple[int, int]:
    after: int | None = 0
    changed = lost = 0
    async with transaction(context(request)):
        await planned.begin()
        while after is not None:
            after, more, without = await planned.chunk(after, AT_ONCE)
            changed, lost = changed + more, lost + without
        await planned.finish()
    return changed, lost


async def _row(request: web.Request, action: Action) -> dict[str, Any]:
    """The columns of the field in the URL. Raises NotFound, Forbidden, or Conflict while a job is at work on it."""
    seen = await RECORDS.found(request)
    if not may(request[VIEWER], action, CUSTOM_FIELDS.entity, seen):
        raise Forbidden
    if at_work := await database.execute(AT_WORK, [KIND, str(seen["id"])]):
        raise Conflict(f"The job {at_work[0]['id']} is at work on this field.")
    row = await rewriting.row(seen["id"])
    if row is None:
        raise NotFound
    return row
