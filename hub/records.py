"""The six things one can do with a resource: list, create, retrieve, put, patch, delete.

What one may not read is not found; what one may read but not change is forbidden. A put needs every required field and
leaves optional ones that are not named as they are, as the original API did.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import asyncpg
from aiohttp import web
from tortoise.exceptions import IntegrityError

from hub import idempotency, pages
from hub.errors import Forbidden, NotFound
from hub.requests import VIEWER, context, parse_object, read_object
from hub.responses import respond
from models.access import Action, Viewer, may
from models.database import transaction
from models.resources.mistakes import NON_FIELD, Invalid, Mistake
from models.resources.resource import Reference, Resource
from models.resources.selection import Key, Row, Selection
from models.resources.wanted import Wanted


class Records:
    """Handlers of one resource's routes."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    async def index(self, request: web.Request) -> web.Response:
        """A part of the records the caller may see."""
        viewer = request[VIEWER]
        given = pages.query(request)
        part = pages.part(given)
        asked = {name: text for name, text in given.items() if name not in pages.PAGING}
        wanted = Wanted.read(self.resource, asked, viewer)
        await wanted.check()

        def show(row: Row) -> dict[str, Any]:
            return self.resource.show(row, viewer, listed=True)

        return respond(await part.envelope(request.url, wanted, show))

    async def create(self, request: web.Request) -> web.Response:
        """A new record, the caller's own; repeatable with an Idempotency-Key."""
        viewer = request[VIEWER]
        if not may(viewer, Action.CREATE, self.resource.entity, None):
            raise Forbidden
        raw = await request.read()
        body = parse_object(raw)
        values = self.resource.read(body, partial=False)
        author = self.resource.author
        self.resource.unchanged(body, {author: viewer.id} if author else {})

        async def work() -> idempotency.Answer:
            columns = await self._columns(values, viewer)
            if author:
                columns[f"{author}_id"] = viewer.id
            if not may(viewer, Action.CREATE, self.resource.entity, columns):
                raise Forbidden
            try:
                row = await self.resource.detailed.inserted(columns, context(request))
            except IntegrityError as error:
                raise self._conflict(error) from error
            return idempotency.Answer(status=201, body=self._shown(row, viewer))

        async def permitted(answer: dict[str, Any]) -> bool:
            row = await self.resource.access.one(answer["id"])
            return row is None or self.resource.seen(row, "", viewer)

        return await idempotency.once(request, raw, work, permitted)

    async def retrieve(self, request: web.Request) -> web.Response:
        """One record."""
        viewer = request[VIEWER]
        return respond(self._shown(await self.found(request), viewer))

    async def found(self, request: web.Request) -> Row:
        """The record in the URL, in detail. Raises NotFound if the caller may not read it."""
        return await self._readable(self.resource.detailed, self._key(request), request[VIEWER])

    async def put(self, request: web.Request) -> web.Response:
        """Change a record; every required field must be there."""
        return await self._change(request, partial=False)

    async def patch(self, request: web.Request) -> web.Response:
        """Change the fields that are named."""
        return await self._change(request, partial=True)

    async def delete(self, request: web.Request) -> web.Response:
        """Remove a record, and what cannot be without it. Forbidden if the caller may not remove all of that."""
        key, viewer = self._key(request), request[VIEWER]
        async with transaction(context(request)):
            self._allow(Action.DELETE, await self._readable(self.resource.access, key, viewer, held=True), viewer)
            for one in self.resource.dependents:
                rows = await one.model.filter(**{one.column: key}).values()
                if not all(may(viewer, Action.DELETE, one.entity, row) for row in rows):
                    raise Forbidden(f"This would delete an {one.entity} that you may not delete.")
            await self.resource.model.filter(id=key).delete()
        return web.Response(status=204)

    async def _change(self, request: web.Request, *, partial: bool) -> web.Response:
        viewer, key = request[VIEWER], self._key(request)
        body = await read_object(request)
        changes = not body.keys().isdisjoint(self.resource.writable)
        # What is sent back is compared with what is shown, and what changes nothing is answered with it.
        whole = not (changes and body.keys().isdisjoint(self.resource.fixed))
        while True:
            row = await self._readable(self.resource.detailed if whole else self.resource.access, key, viewer)
            self._allow(Action.UPDATE, row, viewer)
            values = self.resource.read(body, partial=partial)
            if whole:
                self.resource.unchanged(body, self._shown(row, viewer))
            columns = await self._columns(values, viewer, row)
            if not changes:
                return respond(self._shown(row, viewer))
            judged = {path: row[path] for path in self.resource.access_paths() if path != "id"}
            try:
                changed = await self.resource.detailed.updated(key, columns, judged, context(request))
            except IntegrityError as error:
                raise self._conflict(error) from error
            if changed is not None:
                return respond(self._shown(changed, viewer))
            # Meanwhile somebody changed what it was judged by, or deleted it.

    async def _readable(self, what: Selection, key: Key, viewer: Viewer, *, held: bool = False) -> Row:
        """A record as one of the resource's selections has it. Raises NotFound if the viewer may not read it."""
        row = await what.one(key, held=held)
        if row is None or not self.resource.seen(row, "", viewer):
            raise NotFound
        return row

    def _allow(self, action: Action, row: Row, viewer: Viewer) -> None:
        """Raise Forbidden if the viewer may not do that to a record."""
        if not may(viewer, action, self.resource.entity, row):
            raise Forbidden

    async def _columns(self, values: Mapping[str, Any], viewer: Viewer, row: Row | None = None) -> dict[str, Any]:
        """Columns for field values. Raises Invalid for a new reference to what the viewer cannot see."""
        columns, wrong = {}, {}
        for name, value in values.items():
            field = self.resource.writable[name]
            columns[field.column] = value
            known = row is not None and value == row.get(field.column)
            if isinstance(field, Reference) and value is not None and not known:
                try:
                    await _find(field, value, viewer)
                except Mistake as mistake:
                    wrong[name] = [str(mistake)]
        if wrong:
            raise Invalid(wrong)
        return columns

    def _key(self, request: web.Request) -> Key:
        """The record's id in the URL. Raises NotFound for what can be none."""
        try:
            key: Key = self.resource.key.read_text(request.match_info["id"])
        except Mistake:
            raise NotFound from None
        return key

    def _shown(self, row: Row, viewer: Viewer) -> dict[str, Any]:
        return self.resource.show(row, viewer, listed=False)

    def _conflict(self, error: IntegrityError) -> Invalid:
        """What to say when the database refuses a value that another record has, or that refers to one just gone."""
        cause = error.args[0] if error.args else None
        column = re.search(r"\((\w+)\)=", getattr(cause, "detail", None) or "")
        for name, field in self.resource.writable.items():
            if column and field.column == column[1]:
                taken = isinstance(cause, asyncpg.UniqueViolationError)
                said = f"A {self.resource.entity} with this {name} already exists." if taken else "No such record."
                return Invalid({name: [said]})
        return Invalid({NON_FIELD: ["The database does not accept these values together."]})


async def _find(field: Reference, key: int, viewer: Viewer) -> None:
    """Raise Mistake unless the record referred to is there for the viewer."""
    if not await field.to.readable(key, viewer):
        raise Mistake(f"There is no {field.to.entity} {key}.")
