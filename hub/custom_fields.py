"""Custom fields under /api/v1/custom-fields/: defining them, trying a value, putting them in order."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import Any, ClassVar

import orjson
from aiohttp import web

from hub import custom_indexes, pages
from hub.definitions import DEFINITIONS
from hub.errors import Forbidden, Handler, NotFound, Refusal
from hub.openapi import resources as described
from hub.openapi.operation import Operation, Parameter, documented
from hub.openapi.shapes import ANYTHING, COUNT, FLAG, TEXT, Maybe, Named, Shape, fields, many
from hub.records import Records
from hub.requests import VIEWER, context, only, read_object
from hub.responses import respond
from models import jobs
from models.access import Action, Viewer, may
from models.database import transaction
from models.resources.content_types import CUSTOMISED, Customised
from models.resources.custom import rewriting, searching
from models.resources.custom.definition import Definition
from models.resources.custom_fields import CUSTOM_FIELDS
from models.resources.filters import FILTER
from models.resources.kinds import SERIAL
from models.resources.mistakes import Invalid, Mistake
from models.resources.searching import SEARCH

RECORDS = Records(CUSTOM_FIELDS)

MODEL, CONTENT_TYPE = "model", "content_type"

#: What `search` looks in.
SEARCHED = ("name", "label", "help_text")

ORDER = """
UPDATE crm_custom_fields f SET "order" = given.place - 1
FROM unnest($1::bigint[]) WITH ORDINALITY AS given(id, place) WHERE f.id = given.id
"""


class NotValid(Refusal):
    """The field does not take a value."""

    shape: ClassVar[Shape] = Named("NotValid", fields(valid=FLAG, error=TEXT))

    @property
    def body(self) -> dict[str, Any]:
        return {"valid": False, "error": str(self)}


LISTED = described.index(CUSTOM_FIELDS)
FINDING = (
    Parameter(name=MODEL, shape=Customised().schema(given=True), about=f"The same as `{CONTENT_TYPE}`; give one."),
    Parameter(name=SEARCH, about=f"Words that stand in {', '.join(SEARCHED)}; not together with `{FILTER}`."),
)


@documented(replace(LISTED, parameters=(*FINDING, *LISTED.parameters)))
async def index(request: web.Request) -> web.Response:
    """The fields the caller may see. `model` is another word for `content_type`; `search` looks in what names them."""
    given = pages.query(request)
    for name, other in ((MODEL, CONTENT_TYPE), (SEARCH, FILTER)):
        if name in given and other in given:
            raise Invalid({name: [f"Give {name} or {other}, not both."]})
    if MODEL in given:
        given[CONTENT_TYPE] = given.pop(MODEL)
    if search := given.pop(SEARCH, ""):
        any_of = [[{f"{name}__icontains": word} for name in SEARCHED] for word in search.split()[:10]]
        given[FILTER] = orjson.dumps({"and": [{"or": one} for one in any_of]}).decode() if any_of else "{}"
    return await RECORDS.index(request.clone(rel_url=request.rel_url.with_query(given)))


def changing(handler: Handler) -> Handler:
    """The handler, after which this node has the definitions it changed, and jobs see to filters and search."""

    @wraps(handler)
    async def changed(request: web.Request) -> web.StreamResponse:
        before = {field.id: field for field in request.app[DEFINITIONS].now.every}
        response = await handler(request)
        await custom_indexes.settle(request)
        for field in request.app[DEFINITIONS].now.every:
            if searching.searched(field) != searching.searched(before.get(field.id)):
                await jobs.start(searching.JOB, {"field": field.id}, context(request))
        return response

    return changed


@documented(
    Operation(body=fields(value=Maybe(ANYTHING)), answers={200: fields(valid=FLAG)}, refusals=(NotValid,)),
)
async def validate_value(request: web.Request) -> web.Response:
    """Whether a field takes a value. Raises NotValid."""
    row = await rewriting.row((await RECORDS.found(request))["id"])
    body = await read_object(request)
    only(body, ("value",))
    if row is None:
        raise NotFound
    try:
        Definition.of(row).read(body.get("value"))
    except Mistake as mistake:
        raise NotValid(str(mistake)) from None
    return respond({"valid": True})


@documented(
    Operation(
        body=fields(field_ids={**many(SERIAL), "minItems": 1, "uniqueItems": True}),
        answers={200: fields(reordered=COUNT)},
        refusals=(Forbidden,),
    )
)
async def reorder(request: web.Request) -> web.Response:
    """Put the fields of one kind of record in the order of `field_ids`."""
    viewer = request[VIEWER]
    if not may(viewer, Action.UPDATE, CUSTOM_FIELDS.entity, None):
        raise Forbidden
    body = await read_object(request)
    only(body, ("field_ids",))
    ids = body.get("field_ids")
    if not isinstance(ids, list) or not ids or not all(type(one) is int for one in ids) or len(set(ids)) < len(ids):
        raise Invalid({"field_ids": ["Must be a list of ids of fields, each once."]})
    known = [f for f in request.app[DEFINITIONS].now.every if f.id in set(ids) and f.seen_by(viewer.role)]
    if missing := [one for one in ids if one not in {f.id for f in known}]:
        raise Invalid({"field_ids": [f"There is no field {missing[0]}."]})
    if len({f.entity for f in known}) > 1:
        raise Invalid({"field_ids": ["The fields must belong to one kind of record."]})
    async with transaction(context(request)) as connection:
        await connection.execute_query(ORDER, [ids])
    return respond({"reordered": len(ids)})


def field_of(request: web.Request, viewer: Viewer, key: int) -> Definition:
    """The active field with this id. Raises Mistake if there is none for the viewer."""
    for field in request.app[DEFINITIONS].now.every:
        if field.id == key and field.active and field.seen_by(viewer.role):
            return field
    raise Mistake(f"There is no custom field {key}.")


def entity_of(text: str) -> str | None:
    """The kind of record a client names, by name or number; None if it has no custom fields."""
    try:
        return CUSTOMISED[Customised().read_text(text)]
    except Mistake:
        return None
