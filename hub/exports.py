"""Exports under /api/v1/export/{type}/: the records of a list as a file, sent as they are read.

The rows are what the list's own parameters keep, of what the caller may see, at one moment. That somebody took them is
a row of `exports`, captured like every change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiohttp import web

from hub import custom_indexes, pages
from hub.definitions import DEFINITIONS
from hub.errors import Declined, Forbidden, Unavailable
from hub.keys import POOL
from hub.one_shot_import import named
from hub.openapi.imports import TYPE
from hub.openapi.operation import Content, Operation, Parameter, documented
from hub.openapi.parameters import ordering
from hub.openapi.shapes import BYTES, TEXT
from hub.requests import VIEWER, context
from models.access import Action, may
from models.database import transaction
from models.imports import plan, written
from models.imports.sheets import Workbook
from models.resources.custom import filtering
from models.resources.filters import FILTER
from models.resources.mistakes import Invalid, NotReady
from models.resources.ordering import orders
from models.resources.resource import Resource
from models.resources.searching import SEARCH
from models.resources.wanted import ORDERING, Wanted
from models.uploads import Export

FIELDS, FORMAT = "fields", "format"
TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

#: Exports of one node at a time; each holds a connection as long as its client takes.
MOST = 4
#: Seconds a client may take for what was sent, before it is given up.
PATIENCE = 60.0
#: Rows of a spreadsheet that are packed at once.
ROWS = 500

_RESOURCES = plan.TYPES.values()
_STORED = dict.fromkeys(name for resource in _RESOURCES for name in resource.stored)
OPERATION = Operation(
    path={"type": TYPE},
    parameters=(
        Parameter(
            name=FIELDS,
            shape={"type": "array", "items": {**TEXT, "enum": [*_STORED]}},
            about="The fields to export, of those that the type has. Left out: the usual ones.",
        ),
        Parameter(name=FORMAT, shape={**TEXT, "enum": [*TYPES]}),
        Parameter(name=FILTER, about="And whatever else narrows the list of the type."),
        Parameter(name=SEARCH),
        ordering(dict.fromkeys(name for resource in _RESOURCES for name in orders(resource))),
    ),
    answers={200: (Content(TYPES["csv"]), Content(TYPES["xlsx"], BYTES))},
    refusals=(Forbidden, Declined),
)

RUNNING = web.AppKey("exports", asyncio.Semaphore)


def add(app: web.Application) -> None:
    """Let the application export."""
    app[RUNNING] = asyncio.Semaphore(MOST)


@documented(OPERATION)
async def export(request: web.Request) -> web.StreamResponse:
    """The records of a list as CSV or XLSX, all pages of it, in the fields named or the usual ones."""
    resource, viewer = named(request), request[VIEWER]
    if not may(viewer, Action.READ, resource.entity, None):
        raise Forbidden
    given = pages.query(request)
    names, form = _fields(given, resource), given.get(FORMAT, "csv")
    if form not in TYPES:
        raise Invalid({FORMAT: [f"Must be one of {', '.join(TYPES)}."]})
    asked = {name: text for name, text in given.items() if name not in (FIELDS, FORMAT)}
    # In an order of the records' own, even where the list would show the best matches of a search first.
    more = filtering.more(request.app[DEFINITIONS].now, viewer)
    try:
        wanted = Wanted.read(resource, {ORDERING: resource.order, **asked}, viewer, more)
        await wanted.check()
    except NotReady as error:
        raise await custom_indexes.refused(error) from None
    sql, values = written.select(wanted, names, escape=form == "csv")
    if request.app[RUNNING].locked():
        raise Unavailable
    async with request.app[RUNNING], request.app[POOL].acquire() as connection:
        await _noted(request, resource.path, form, asked, names)
        response = _response(resource.path, form)
        await response.prepare(request)
        if form == "csv":
            await _csv(connection, sql, values, response)
        else:
            await _xlsx(connection, sql, values, response, resource, names)
        await response.write_eof()
    return response


def _fields(given: dict[str, str], resource: Resource) -> Sequence[str]:
    """The fields to export. Raises Invalid for one that is not there."""
    if not given.get(FIELDS):
        return written.USUAL[resource.path]
    names = list(dict.fromkeys(name.strip() for name in given[FIELDS].split(",")))
    if unknown := [name for name in names if name not in resource.stored]:
        raise Invalid({FIELDS: [f"Unknown: {', '.join(unknown)}. Fields are: {', '.join(resource.stored)}."]})
    return names


async def _noted(request: web.Request, kind: str, form: str, parameters: dict[str, str], names: Sequence[str]) -> None:
    async with transaction(context(request)):
        await Export.create(
            type=kind, format=form, parameters=parameters, shown=list(names), created_by_id=request[VIEWER].id
        )


def _response(kind: str, form: str) -> web.StreamResponse:
    name = f"{kind}_export_{datetime.now(UTC):%Y%m%d_%H%M%S}.{form}"
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}"'})
    response.content_type = TYPES[form]
    if form == "csv":
        response.charset = "utf-8"
    return response


async def _csv(connection: asyncpg.Connection, sql: str, values: Sequence[Any], response: web.StreamResponse) -> None:
    async def send(data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await response.write(data)

    await connection.copy_from_query(sql, *values, output=send, format="csv", header=True)


async def _xlsx(
    connection: asyncpg.Connection,
    sql: str,
    values: Sequence[Any],
    response: web.StreamResponse,
    resource: Resource,
    names: Sequence[str],
) -> None:
    book = Workbook(names, [isinstance(resource.stored[name].kind, written.NUMBERS) for name in names])
    try:
        async with connection.transaction():
            cursor = await connection.cursor(sql, *values)
            while rows := await cursor.fetch(ROWS):
                await _send(response, book.add(rows))
        await _send(response, book.end())
    finally:
        book.abandon()


async def _send(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        if data:
            await response.write(data)
