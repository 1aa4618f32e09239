"""The values of custom fields one by one, under /api/v1/custom-field-values/, as the original API has them.

They are a view of the records' `custom_fields`: a value is known by the number of its field and of its record, and has
the times of the record. Whoever may read or change the record and the field may do so here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import asyncpg
import orjson
from aiohttp import web

from hub import pages
from hub.custom_fields import entity_of, field_of
from hub.definitions import DEFINITIONS
from hub.errors import Forbidden, NotFound, Refusal
from hub.keys import POOL
from hub.openapi import shapes
from hub.openapi.operation import Operation, Parameter, documented
from hub.openapi.parameters import PAGING, equal_to
from hub.openapi.shapes import ANYTHING, ERROR, FLAG, OBJECT, TEXT, Maybe, Named, Shape, either, many, nullable, page
from hub.records import Records
from hub.requests import VIEWER, only, read_object
from hub.responses import respond
from hub.statement import Statement
from models.access import Viewer
from models.custom_fields import FieldType
from models.resources.catalogue import RESOURCES
from models.resources.conditions import Conditions
from models.resources.content_types import CONTENT_TYPES, CUSTOMISED, ContentType, Customised
from models.resources.custom.changes import COLUMN
from models.resources.custom.definition import REQUIRED, Definition
from models.resources.custom.definitions import key as message_key
from models.resources.kinds import SERIAL, Choice, Day, Kind, Moment
from models.resources.mistakes import Invalid, Mistake
from models.resources.ordering import Key
from models.resources.selection import Row
from models.resources.window import Window

RECORDS: Mapping[str, Records] = {entity: Records(RESOURCES[entity]) for entity in CUSTOMISED.values()}

#: Bits of a value's id that are the record's; the field's come before them.
RECORD_BITS = 40

FILTERS: Mapping[str, Kind] = {"custom_field": SERIAL, "content_type": ContentType(), "object_id": SERIAL}

COLUMNS = ("value_text", "value_number", "value_boolean", "value_date", "value_datetime", "value_json")

ORDER = tuple(Key(name=name, kind=SERIAL, sql=f"had.{name}") for name in ("object_id", "id"))

#: What a body may say, apart from what the server works out.
GIVEN = ("custom_field", "content_type", "object_id", "value", *COLUMNS)
WORKED_OUT = ("id", "field_label", "field_type", "display_value", "created_at", "updated_at")


class Wrong(Refusal):
    """Both model and object_id are required."""

    shape: ClassVar[Shape] = ERROR

    @property
    def body(self) -> dict[str, Any]:
        return {"error": str(self) or self.__doc__}


class NoSuch(Wrong):
    """There is no such record."""

    status = 404


_COLUMNS: Mapping[str, Shape] = {
    "value_text": TEXT,
    "value_number": nullable({"type": ["integer", "string"]}),
    "value_boolean": nullable(FLAG),
    "value_date": nullable(Day()),
    "value_datetime": nullable(Moment()),
    "value_json": {"description": "A list of options, or the id of a file."},
}
VALUE = Named(
    "CustomFieldValue",
    shapes.fields(
        _COLUMNS,
        id=SERIAL,
        custom_field=SERIAL,
        field_label=TEXT,
        field_type=Choice(FieldType),
        content_type=Customised(),
        object_id=SERIAL,
        display_value=TEXT,
        created_at=Moment(),
        updated_at=Moment(),
    ),
)
_MODEL = Customised().schema(given=True)
_GIVEN: Mapping[str, Maybe] = {
    "content_type": Maybe(_MODEL),
    "value": Maybe({"description": "The value, whatever the type of its field."}),
    **{name: Maybe(ANYTHING) for name in (*COLUMNS, *WORKED_OUT)},
}
INPUT = Named("CustomFieldValueInput", shapes.fields(_GIVEN, custom_field=SERIAL, object_id=SERIAL))
CHANGES = Named("CustomFieldValueChanges", shapes.fields(_GIVEN, custom_field=Maybe(SERIAL), object_id=Maybe(SERIAL)))
SET = Named(
    "CustomFieldValuesSet",
    shapes.fields(
        updated=many(shapes.fields(field_id=SERIAL, field_name=TEXT, value=ANYTHING)),
        errors=many(shapes.fields(field_id=either(SERIAL, TEXT), error=TEXT)),
    ),
)


@documented(
    Operation(answers={200: page(VALUE)}, parameters=(*equal_to(FILTERS), *PAGING), refusals=pages.REFUSALS),
)
async def index(request: web.Request) -> web.Response:
    """A part of the values of records the caller may read, by record and field."""
    viewer = request[VIEWER]
    given = pages.query(request)
    pages.allowed(given, (*FILTERS, *pages.PAGING))
    asked, wrong = {}, {}
    for name, kind in FILTERS.items():
        try:
            if name in given:
                asked[name] = kind.read_text(given[name])
        except Mistake as mistake:
            wrong[name] = [str(mistake)]
    if wrong:
        raise Invalid(wrong)
    fields = [
        field
        for entity in CUSTOMISED.values()
        for field in request.app[DEFINITIONS].now.seen(entity, viewer.role).values()
        if asked.get("custom_field", field.id) == field.id and asked.get("content_type", entity) == entity
    ]
    by_id = {field.id: field for field in fields}

    def show(row: Row) -> dict[str, Any]:
        return _shown(by_id[row["field_id"]], row)

    listed = _listed(request.app[POOL], viewer, fields, asked.get("object_id"))
    return respond(await pages.part(given).envelope(request.url, listed, show))


@documented(Operation(body=INPUT, answers={201: VALUE}, refusals=(Forbidden, NotFound)))
async def create(request: web.Request) -> web.Response:
    """Give a record a value that it has not."""
    viewer, body = request[VIEWER], await _body(request)
    try:
        field = field_of(request, viewer, SERIAL.read(body.get("custom_field")))
    except Mistake as mistake:
        raise Invalid({"custom_field": [str(mistake)]}) from None
    try:
        key = SERIAL.read(body.get("object_id"))
    except Mistake as mistake:
        raise Invalid({"object_id": [str(mistake)]}) from None
    _belongs(body, field)
    resource = RESOURCES[field.entity]
    row = await resource.detailed.one(key)
    if row is None or not resource.seen(row, "", viewer):
        raise Invalid({"object_id": [f"There is no {field.entity} {key}."]})
    if field.name in row[COLUMN]:
        raise Invalid(
            {"non_field_errors": ["The fields custom_field, content_type, object_id must make a unique set."]}
        )
    if (value := _value(body, field)) in (None, "", []):
        raise Invalid({field.form.column: [REQUIRED]})
    await _set(request, field, key, value)
    return respond(await _one(request, field, key), status=201)


@documented(Operation(answers={200: VALUE}))
async def retrieve(request: web.Request) -> web.Response:
    """One value."""
    field, key = _named(request)
    return respond(await _one(request, field, key))


@documented(Operation(body=CHANGES, answers={200: VALUE}, refusals=(Forbidden,)))
async def update(request: web.Request) -> web.Response:
    """Change a value."""
    field, key = _named(request)
    before = await _one(request, field, key)
    body = await _body(request)
    _belongs(body, field)
    for name in ("custom_field", "object_id"):
        if body.get(name, before[name]) != before[name]:
            raise Invalid({name: ["This field is read-only."]})
    if (value := _value(body, field)) in (None, "", []):
        raise Invalid({field.form.column: [REQUIRED]})
    await _set(request, field, key, value)
    return respond(await _one(request, field, key))


@documented(Operation(answers={204: None}, refusals=(Forbidden,)))
async def delete(request: web.Request) -> web.Response:
    """Take a value from its record."""
    field, key = _named(request)
    await _one(request, field, key)
    await _set(request, field, key, None)
    return web.Response(status=204)


@documented(
    Operation(
        answers={200: many(VALUE)},
        parameters=(
            Parameter(name="model", shape=_MODEL, required=True),
            Parameter(name="object_id", shape=SERIAL, required=True),
        ),
        refusals=(Wrong, NoSuch),
    )
)
async def for_object(request: web.Request) -> web.Response:
    """The values of one record."""
    given = pages.query(request)
    pages.allowed(given, ("model", "object_id"))
    fields, key = await _record(request, given.get("model"), given.get("object_id"))
    return respond(await _of_record(request, fields, key))


@documented(
    Operation(
        body=shapes.fields(model=_MODEL, object_id=SERIAL, values={**OBJECT, "description": "Values by field id."}),
        answers={200: SET},
        refusals=(Wrong, NoSuch, Forbidden, NotFound),
    )
)
async def bulk_update(request: web.Request) -> web.Response:
    """Set several values of one record; those that are wrong are told and leave the others to be set."""
    body = await read_object(request)
    only(body, ("model", "object_id", "values"))
    fields, key = await _record(request, body.get("model"), body.get("object_id"))
    given = body.get("values")
    if not isinstance(given, dict):
        raise Wrong("values must be an object of values by field id.")
    known = {str(field.id): field for field in fields}
    updated, errors, changes = [], [], {}
    for name, value in given.items():
        try:
            if (field := known.get(name)) is None:
                raise Mistake("There is no such field.")
            if not field.set_by(request[VIEWER].role):
                raise Mistake("This field is read-only.")
            read = changes[field.name] = field.read(value)
            updated.append({"field_id": field.id, "field_name": field.name, "value": read})
        except Mistake as mistake:
            errors.append({"field_id": _number(name), "error": str(mistake)})
    if changes:
        entity = fields[0].entity
        await RECORDS[entity].changed(request, key, {COLUMN: changes})
    return respond({"updated": updated, "errors": errors})


def _number(text: str) -> int | str:
    """The id that a text is, or the text if it is none."""
    try:
        return SERIAL.read_text(text)
    except Mistake:
        return text


async def _record(request: web.Request, model: object, object_id: object) -> tuple[list[Definition], int]:
    """The fields that a record can have for the caller, and its id. Raises Wrong or NoSuch."""
    if model in (None, "") or object_id in (None, ""):
        raise Wrong
    if (entity := entity_of(str(model))) is None:
        raise NoSuch(f"There is no model {model}. Models are {', '.join(CUSTOMISED.values())}.")
    try:
        key = SERIAL.read_text(str(object_id))
    except Mistake as mistake:
        raise Wrong(f"object_id: {mistake}") from None
    if not await RESOURCES[entity].readable(key, request[VIEWER]):
        raise NoSuch
    return list(request.app[DEFINITIONS].now.seen(entity, request[VIEWER].role).values()), key


async def _body(request: web.Request) -> dict[str, Any]:
    body = await read_object(request)
    only(body, (*GIVEN, *WORKED_OUT))
    return {name: value for name, value in body.items() if name in GIVEN}


def _belongs(body: Mapping[str, Any], field: Definition) -> None:
    """Raise Invalid if the body names another kind of record than the field's."""
    if "content_type" not in body:
        return
    try:
        number = Customised().read(body["content_type"])
    except Mistake as mistake:
        raise Invalid({"content_type": [str(mistake)]}) from None
    if number != CONTENT_TYPES[field.entity]:
        raise Invalid({"content_type": [f"The field belongs to {CONTENT_TYPES[field.entity]} ({field.entity})."]})


def _value(body: Mapping[str, Any], field: Definition) -> Any:
    """The value in a body, under `value` or the column of its type; the other columns are empty. Raises Invalid."""
    if "value" in body:
        return body["value"]
    column = field.form.column
    if strange := [name for name in COLUMNS if name != column and body.get(name) not in (None, "")]:
        raise Invalid({name: [f"A {field.type} field has its value in {column}."] for name in strange})
    return body.get(column)


async def _set(request: web.Request, field: Definition, key: int, value: object) -> None:
    try:
        await RECORDS[field.entity].changed(request, key, {COLUMN: {field.name: value}})
    except Invalid as invalid:
        name = message_key(field.name)
        if name not in invalid.messages:
            raise
        raise Invalid({field.form.column: invalid.messages[name]}) from None


def _named(request: web.Request) -> tuple[Definition, int]:
    """The field and the record's id in a value's id. Raises NotFound."""
    try:
        number = SERIAL.read_text(request.match_info["id"])
        return field_of(request, request[VIEWER], number >> RECORD_BITS), number & ((1 << RECORD_BITS) - 1)
    except Mistake:
        raise NotFound from None


async def _one(request: web.Request, field: Definition, key: int) -> dict[str, Any]:
    """A value as it is shown. Raises NotFound."""
    values = await _of_record(request, [field], key)
    if not values:
        raise NotFound
    return values[0]


async def _of_record(request: web.Request, fields: Sequence[Definition], key: int) -> list[dict[str, Any]]:
    """The values that a record has of these fields, in their order by id."""
    listed = _listed(request.app[POOL], request[VIEWER], fields, key)
    rows = await listed.rows(Window(order=ORDER, limit=len(fields) + 1))
    by_id = {field.id: field for field in fields}
    return [_shown(by_id[row["field_id"]], row) for row in rows]


def _listed(pool: asyncpg.Pool, viewer: Viewer, fields: Sequence[Definition], key: int | None) -> Statement:
    """The values of these fields that are there for the viewer, of one record or of all."""
    parts = [
        "SELECT NULL::bigint AS id, NULL::bigint AS field_id, NULL::bigint AS object_id, NULL::jsonb AS value,"
        " NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at WHERE false"
    ]
    values: list[Any] = []
    for entity in CUSTOMISED.values():
        if own := [field for field in fields if field.entity == entity]:
            conditions = Conditions(values)
            conditions.visible(viewer, entity, "r")
            if key is not None:
                conditions.add("r.id = {}", key)
            ids, names = conditions.place([field.id for field in own]), conditions.place([field.name for field in own])
            parts.append(
                f"""SELECT f.id << {RECORD_BITS} | r.id, f.id, r.id, v.value, r.created_at, r.updated_at
                    FROM unnest({ids}::bigint[], {names}::text[]) AS f(id, name),
                         {RESOURCES[entity].table} r CROSS JOIN LATERAL jsonb_each(r.{COLUMN}) v
                    WHERE {conditions.sql} AND f.name = v.key AND r.{COLUMN} <> '{{}}'"""
            )
            values = conditions.values
    source = f"({' UNION ALL '.join(parts)}) AS had"
    return Statement(pool=pool, columns="had.*", source=source, conditions=Conditions(values), order=ORDER)


def _shown(field: Definition, row: Mapping[str, Any]) -> dict[str, Any]:
    value = orjson.loads(row["value"])
    column = field.form.column
    return {
        "id": row["id"],
        "custom_field": field.id,
        "field_label": field.label,
        "field_type": field.type,
        "content_type": CONTENT_TYPES[field.entity],
        "object_id": row["object_id"],
        **{name: "" if name == "value_text" else None for name in COLUMNS},
        column: value,
        "display_value": field.display(value),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
