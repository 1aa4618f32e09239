"""Groups of custom fields under /api/v1/custom-field-groups/, each with its fields in their order.

`fields` holds ids of custom fields. Everybody sees the groups, and of each the fields that are there for them; who may
not see a field can neither add it nor take it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from hub import idempotency, pages
from hub.definitions import DEFINITIONS
from hub.errors import Forbidden, NotFound
from hub.openapi import resources as described
from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import Maybe, Named, added, many, page
from hub.requests import VIEWER, context, parse_object, read_object
from hub.responses import respond
from models import database
from models.access import Action, may
from models.custom_fields import CustomFieldGroup
from models.database import transaction
from models.resources.content_types import CUSTOMISED
from models.resources.custom.definition import Definition
from models.resources.custom_fields import CUSTOM_FIELD_GROUPS as GROUPS
from models.resources.kinds import SERIAL
from models.resources.mistakes import Invalid, Mistake
from models.resources.selection import Row
from models.resources.wanted import Wanted

FIELDS, CONTENT_TYPE = "fields", "content_type"

MEMBERS = """
SELECT group_id, custom_field_id FROM crm_custom_field_group_memberships
WHERE group_id = ANY ($1::bigint[]) ORDER BY group_id, "order", id
"""

#: Rows that stay keep their id; hidden fields are not among `seen` and stay as they are.
REMOVE = """
DELETE FROM crm_custom_field_group_memberships
WHERE group_id = $1 AND custom_field_id = ANY ($2::bigint[]) AND custom_field_id <> ALL ($3::bigint[])
"""
PUT = """
INSERT INTO crm_custom_field_group_memberships AS m (group_id, custom_field_id, "order")
SELECT $1, id, place - 1 FROM unnest($2::bigint[]) WITH ORDINALITY AS given(id, place)
ON CONFLICT (group_id, custom_field_id) DO UPDATE SET "order" = excluded."order" WHERE m."order" <> excluded."order"
"""


SHOWN = Named("CustomFieldGroup", added(described.listed(GROUPS), {FIELDS: many(SERIAL)}))
_MEMBERS = {FIELDS: Maybe({**many(SERIAL), "uniqueItems": True})}
INPUT = Named("CustomFieldGroupInput", added(described.body(GROUPS, partial=False), _MEMBERS))
CHANGES = Named("CustomFieldGroupChanges", added(described.body(GROUPS, partial=True), _MEMBERS))


@documented(Operation(answers={200: page(SHOWN)}, parameters=described.parameters(GROUPS), refusals=pages.REFUSALS))
async def index(request: web.Request) -> web.Response:
    """A part of the groups."""
    given = pages.query(request)
    part = pages.part(given)
    asked = {name: text for name, text in given.items() if name not in pages.PAGING}
    body = await part.envelope(request.url, Wanted.read(GROUPS, asked, request[VIEWER]), dict)
    return respond({**body, "results": await _shown(request, body["results"])})


@documented(Operation(body=INPUT, answers={201: SHOWN}, refusals=(Forbidden,), idempotent=True))
async def create(request: web.Request) -> web.Response:
    """A new group; repeatable with an Idempotency-Key."""
    _definer(request)
    raw = await request.read()
    body = parse_object(raw)

    async def work() -> idempotency.Answer:
        values, fields = _read(request, body, None, partial=False)
        async with transaction(context(request)):
            group = await CustomFieldGroup.create(**values)
            await _put(group.id, fields or [], [])
        return idempotency.Answer(status=201, body=await _one(request, group.id))

    async def permitted(answer: Mapping[str, Any]) -> bool:
        return True

    return await idempotency.once(request, raw, work, permitted)


@documented(Operation(answers={200: SHOWN}))
async def retrieve(request: web.Request) -> web.Response:
    """One group."""
    return respond(await _one(request, _id(request)))


@documented(Operation(body=INPUT, answers={200: SHOWN}, refusals=(Forbidden,)))
async def put(request: web.Request) -> web.Response:
    """Change a group; every required field must be there."""
    return await _change(request, partial=False)


@documented(Operation(body=CHANGES, answers={200: SHOWN}, refusals=(Forbidden,)))
async def patch(request: web.Request) -> web.Response:
    """Change what is named."""
    return await _change(request, partial=True)


@documented(Operation(answers={204: None}, refusals=(Forbidden,)))
async def delete(request: web.Request) -> web.Response:
    """Remove a group; its fields stay."""
    _definer(request)
    async with transaction(context(request)):
        if not await CustomFieldGroup.filter(id=_id(request)).delete():
            raise NotFound
    return web.Response(status=204)


async def _change(request: web.Request, *, partial: bool) -> web.Response:
    _definer(request)
    key = _id(request)
    body = await read_object(request)
    async with transaction(context(request)):
        row = await GROUPS.detailed.one(key, held=True)
        if row is None:
            raise NotFound
        values, fields = _read(request, body, row, partial=partial)
        if values:
            await CustomFieldGroup.filter(id=key).update(**values)
        if fields is not None:
            await _put(key, fields, _seen(request, row[CONTENT_TYPE]))
    return respond(await _one(request, key))


def _definer(request: web.Request) -> None:
    """Raise Forbidden unless the caller may define."""
    if not may(request[VIEWER], Action.UPDATE, GROUPS.entity, None):
        raise Forbidden


def _read(
    request: web.Request, body: Mapping[str, Any], row: Row | None, *, partial: bool
) -> tuple[dict[str, Any], list[int] | None]:
    """The columns in a body, and the ids of the fields if it names them. Raises Invalid."""
    values = GROUPS.read({name: value for name, value in body.items() if name != FIELDS}, partial=partial)
    kind: int = values[CONTENT_TYPE] if row is None else row[CONTENT_TYPE]
    if values.get(CONTENT_TYPE, kind) != kind:
        raise Invalid({CONTENT_TYPE: ["A group stays with its kind of record."]})
    if FIELDS not in body:
        return values, None
    ids = body[FIELDS]
    if not isinstance(ids, list) or not all(type(one) is int for one in ids) or len(set(ids)) < len(ids):
        raise Invalid({FIELDS: ["Must be a list of ids of custom fields, each once."]})
    known = {field.id for field in _seen(request, kind)}
    if missing := [one for one in ids if one not in known]:
        raise Invalid({FIELDS: [f"There is no custom field {missing[0]} of a {CUSTOMISED[kind]}."]})
    return values, ids


def _seen(request: web.Request, content_type: int) -> list[Definition]:
    """The fields of a kind of record that are there for the caller, those that are not active among them."""
    role, entity = request[VIEWER].role, CUSTOMISED[content_type]
    return [f for f in request.app[DEFINITIONS].now.every if f.entity == entity and f.seen_by(role)]


async def _put(key: int, ids: Sequence[int], seen: Sequence[Definition]) -> None:
    """Make these the fields of a group, as far as the caller sees."""
    await database.execute(REMOVE, [key, [field.id for field in seen], list(ids)])
    await database.execute(PUT, [key, list(ids)])


async def _one(request: web.Request, key: int) -> dict[str, Any]:
    row = await GROUPS.detailed.one(key)
    if row is None:
        raise NotFound
    (shown,) = await _shown(request, [row])
    return shown


async def _shown(request: web.Request, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Groups with those of their fields that the caller may see."""
    viewer, now = request[VIEWER], request.app[DEFINITIONS].now
    definer = may(viewer, Action.UPDATE, GROUPS.entity, None)
    seen = {field.id for field in now.every if field.seen_by(viewer.role) and (field.active or definer)}
    members: dict[int, list[int]] = {}
    for one in await database.execute(MEMBERS, [[row["id"] for row in rows]]):
        if one["custom_field_id"] in seen:
            members.setdefault(one["group_id"], []).append(one["custom_field_id"])
    return [{**GROUPS.show(row, viewer, listed=True), FIELDS: members.get(row["id"], [])} for row in rows]


def _id(request: web.Request) -> int:
    try:
        return SERIAL.read_text(request.match_info["id"])
    except Mistake:
        raise NotFound from None
