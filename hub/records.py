"""The six things one can do with a resource: list, create, retrieve, put, patch, delete.

What one may not read is not found; what one may read but not change is forbidden. A put needs every required field and
leaves optional ones that are not named as they are, as the original API did.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from aiohttp import web
from tortoise.exceptions import IntegrityError

from hub import etags, idempotency, pages
from hub.errors import Forbidden, NotFound
from hub.requests import VIEWER, context, parse_object, read_object
from hub.responses import respond
from models.access import Action, Viewer, may
from models.database import transaction
from models.resources import dependents, references
from models.resources.conditions import Conditions
from models.resources.conflicts import conflict
from models.resources.mistakes import Invalid, Mistake
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
                raise conflict(self.resource, error) from error
            return idempotency.Answer(status=201, body=self._shown(row, viewer))

        async def permitted(answer: dict[str, Any]) -> bool:
            row = await self.resource.access.one(answer["id"])
            return row is None or self.resource.seen(row, "", viewer)

        return etags.mark(self.resource, await idempotency.once(request, raw, work, permitted))

    async def retrieve(self, request: web.Request) -> web.Response:
        """One record."""
        shown = self._shown(await self.found(request), request[VIEWER])
        return etags.respond(request, self.resource, shown)

    async def found(self, request: web.Request) -> Row:
        """The record in the URL, in detail. Raises NotFound if the caller may not read it."""
        return await self._readable(self.resource.detailed, self.key(request), request[VIEWER])

    async def put(self, request: web.Request) -> web.Response:
        """Change a record; every required field must be there."""
        return await self.change(request, await read_object(request), partial=False)

    async def patch(self, request: web.Request) -> web.Response:
        """Change the fields that are named."""
        return await self.change(request, await read_object(request))

    async def delete(self, request: web.Request) -> web.Response:
        """Remove a record, and what cannot be without it. Forbidden if the caller may not remove all of that."""
        key, viewer, wanted = self.key(request), request[VIEWER], etags.wanted(request)
        what = self.resource.access if wanted is None else self.resource.detailed
        async with transaction(context(request)):
            row = await self._readable(what, key, viewer, held=True)
            self._allow(Action.DELETE, row, viewer)
            if wanted is not None:
                wanted.check(self.resource, self._shown(row, viewer))
            if why := await dependents.protected(self.resource, [key], viewer):
                raise Forbidden(why[key])
            await self.resource.model.filter(id=key).delete()
        return web.Response(status=204)

    async def change(self, request: web.Request, body: Mapping[str, Any], *, partial: bool = True) -> web.Response:
        """Change the record in the URL as a client's JSON says.

        With If-Match its row is held from the look at its state to the change; without, one statement does both.
        """
        wanted = etags.wanted(request)
        async with nullcontext() if wanted is None else transaction(context(request)):
            shown = await self._changed(request, body, wanted, partial=partial)
        return etags.respond(request, self.resource, shown)

    async def _changed(
        self, request: web.Request, body: Mapping[str, Any], wanted: etags.Wanted | None, *, partial: bool
    ) -> dict[str, Any]:
        """The record as it is shown after the change."""
        viewer, key = request[VIEWER], self.key(request)
        changes = not body.keys().isdisjoint(self.resource.writable)
        # What is sent back is compared with what is shown, and what changes nothing is answered with it.
        whole = wanted is not None or not (changes and body.keys().isdisjoint(self.resource.fixed))
        what = self.resource.detailed if whole else self.resource.access
        while True:
            row = await self._readable(what, key, viewer, held=wanted is not None)
            self._allow(Action.UPDATE, row, viewer)
            if wanted is not None:
                wanted.check(self.resource, self._shown(row, viewer))
            values = self.resource.read(body, partial=partial)
            if whole:
                self.resource.unchanged(body, self._shown(row, viewer))
            columns = await self._columns(values, viewer, row)
            if not changes:
                return self._shown(row, viewer)
            judged = {path: row[path] for path in self.resource.access_paths() if path != "id"}
            try:
                changed = await self.resource.detailed.updated(key, columns, judged, context(request))
            except IntegrityError as error:
                raise conflict(self.resource, error) from error
            if changed is not None:
                return self._shown(changed, viewer)
            # Meanwhile somebody changed what it was judged by, or deleted it.

    async def narrowed(self, request: web.Request) -> Conditions:
        """What keeps the records that the list would show for these parameters, all pages of it. Raises Invalid."""
        wanted = Wanted.read(self.resource, pages.query(request), request[VIEWER])
        await wanted.check()
        return wanted.conditions

    async def _readable(self, what: Selection, key: Key, viewer: Viewer, *, held: bool = False) -> Row:
        """A record as one of the resource's selections has it. Raises NotFound if the viewer may not read it."""
        row = await what.one(key, held=held)
        if row is None or not self.resource.seen(row, "", viewer):
            raise NotFound
        return row

    async def held(self, key: Key, viewer: Viewer, wanted: etags.Wanted | None) -> Row:
        """A record in detail that the caller may change, held in this transaction, in a state that is wanted.

        Raises NotFound, Forbidden, ChangedMeanwhile.
        """
        row = await self._readable(self.resource.detailed, key, viewer, held=True)
        self._allow(Action.UPDATE, row, viewer)
        if wanted is not None:
            wanted.check(self.resource, self._shown(row, viewer))
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
                    await references.find(field, value, viewer)
                except Mistake as mistake:
                    wrong[name] = [str(mistake)]
        if wrong:
            raise Invalid(wrong)
        return columns

    def key(self, request: web.Request) -> Key:
        """The record's id in the URL. Raises NotFound for what can be none."""
        try:
            key: Key = self.resource.key.read_text(request.match_info["id"])
        except Mistake:
            raise NotFound from None
        return key

    def _shown(self, row: Row, viewer: Viewer) -> dict[str, Any]:
        return self.resource.show(row, viewer, listed=False)
