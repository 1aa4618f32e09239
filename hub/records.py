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

from hub import custom_indexes, etags, idempotency, pages
from hub.definitions import DEFINITIONS
from hub.errors import Forbidden, NotFound
from hub.openapi import resources as shapes
from hub.openapi.operation import documented
from hub.requests import VIEWER, context, parse_object, read_object
from hub.responses import respond
from models.access import Action, Viewer, may
from models.database import Context, transaction
from models.resources import dependents, references
from models.resources.conditions import Conditions
from models.resources.conflicts import conflict
from models.resources.custom import filtering
from models.resources.custom.attaching import attach
from models.resources.custom.changes import COLUMN, Changes, Outdated
from models.resources.custom.definitions import Definitions
from models.resources.mistakes import Invalid, Mistake, NotReady
from models.resources.resource import Reference, Resource
from models.resources.selection import Key, Row, Selection
from models.resources.wanted import Wanted


class Records:
    """Handlers of one resource's routes."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    @documented(lambda self: shapes.index(self.resource))
    async def index(self, request: web.Request) -> web.Response:
        """A part of the records the caller may see."""
        viewer = request[VIEWER]
        given = pages.query(request)
        part = pages.part(given)
        asked = {name: text for name, text in given.items() if name not in pages.PAGING}
        more = filtering.more(request.app[DEFINITIONS].now, viewer)

        def show(row: Row) -> dict[str, Any]:
            return self.resource.show(row, viewer, listed=True)

        try:
            wanted = Wanted.read(self.resource, asked, viewer, more)
            await wanted.check()
            return respond(await part.envelope(request.url, wanted, show))
        except NotReady as error:
            raise await custom_indexes.refused(error) from None

    @documented(lambda self: shapes.create(self.resource))
    async def create(self, request: web.Request) -> web.Response:
        """A new record, the caller's own; repeatable with an Idempotency-Key."""
        viewer = request[VIEWER]
        if not may(viewer, Action.CREATE, self.resource.entity, None):
            raise Forbidden
        raw = await request.read()
        body = parse_object(raw)
        author = self.resource.author
        held = request.app[DEFINITIONS]

        async def work() -> idempotency.Answer:
            while True:
                values, custom = self._read(body, viewer, held.now, None, partial=False)
                self.resource.unchanged(body, {author: viewer.id} if author else {})
                columns = await self._columns(values, viewer)
                if author:
                    columns[f"{author}_id"] = viewer.id
                if not may(viewer, Action.CREATE, self.resource.entity, columns):
                    raise Forbidden
                try:
                    row = await self._inserted(columns, context(request), custom, viewer)
                except IntegrityError as error:
                    raise conflict(self.resource, error) from error
                except Outdated:
                    await held.refresh()
                    continue
                return idempotency.Answer(status=201, body=self._shown(row, viewer, held.now))

        async def permitted(answer: dict[str, Any]) -> bool:
            row = await self.resource.access.one(answer["id"])
            return row is None or self.resource.seen(row, "", viewer)

        return etags.mark(self.resource, await idempotency.once(request, raw, work, permitted))

    @documented(lambda self: shapes.retrieve(self.resource))
    async def retrieve(self, request: web.Request) -> web.Response:
        """One record."""
        shown = self._shown(await self.found(request), request[VIEWER], request.app[DEFINITIONS].now)
        return etags.respond(request, self.resource, shown)

    async def found(self, request: web.Request) -> Row:
        """The record in the URL, in detail. Raises NotFound if the caller may not read it."""
        return await self._readable(self.resource.detailed, self.key(request), request[VIEWER])

    @documented(lambda self: shapes.change(self.resource, partial=False))
    async def put(self, request: web.Request) -> web.Response:
        """Change a record; every required field must be there."""
        return await self.change(request, await read_object(request), partial=False)

    @documented(lambda self: shapes.change(self.resource, partial=True))
    async def patch(self, request: web.Request) -> web.Response:
        """Change the fields that are named."""
        return await self.change(request, await read_object(request))

    @documented(lambda self: shapes.delete(self.resource))
    async def delete(self, request: web.Request) -> web.Response:
        """Remove a record, and what cannot be without it. Forbidden if the caller may not remove all of that."""
        key, viewer, wanted = self.key(request), request[VIEWER], etags.wanted(request)
        what = self.resource.access if wanted is None else self.resource.detailed
        async with transaction(context(request)):
            row = await self._readable(what, key, viewer, held=True)
            self._allow(Action.DELETE, row, viewer)
            if wanted is not None:
                wanted.check(self.resource, self._shown(row, viewer, request.app[DEFINITIONS].now))
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
            shown = await self.changed(request, self.key(request), body, wanted, partial=partial)
        return etags.respond(request, self.resource, shown)

    async def changed(
        self,
        request: web.Request,
        key: Key,
        body: Mapping[str, Any],
        wanted: etags.Wanted | None = None,
        *,
        partial: bool = True,
    ) -> dict[str, Any]:
        """A record with the changes in a body made by the caller, as they may see it."""
        viewer, held = request[VIEWER], request.app[DEFINITIONS]
        changes = not body.keys().isdisjoint(self.resource.settable)
        # What is sent back is compared with what is shown, and what changes nothing is answered with it.
        plain = body.keys().isdisjoint({*self.resource.fixed, COLUMN}) and self.resource.agree is None
        whole = wanted is not None or not (changes and plain and (partial or not self.resource.customised))
        what = self.resource.detailed if whole else self.resource.access
        while True:
            row = await self._readable(what, key, viewer, held=wanted is not None)
            self._allow(Action.UPDATE, row, viewer)
            if wanted is not None:
                wanted.check(self.resource, self._shown(row, viewer, held.now))
            values, custom = self._read(body, viewer, held.now, row, partial=partial)
            if whole:
                self.resource.unchanged(body, self._shown(row, viewer, held.now))
            columns = await self._columns(values, viewer, row)
            if not columns and custom is None:
                return self._shown(row, viewer, held.now)
            judged = {path: row[path] for path in self.resource.access_paths() if path != "id"}
            try:
                changed = await self._updated(key, columns, judged, context(request), custom, viewer)
            except IntegrityError as error:
                raise conflict(self.resource, error) from error
            if changed is not None:
                return self._shown(changed, viewer, held.now)
            # Meanwhile somebody changed what it was judged by, or deleted it, or its custom fields are others now.
            await held.refresh()

    async def _inserted(self, columns: Row, context: Context, custom: Changes | None, viewer: Viewer) -> Row:
        if custom is None or not custom.files:
            return await self.resource.detailed.inserted(columns, context, custom)
        async with transaction(context):
            row = await self.resource.detailed.inserted(columns, context, custom)
            await attach(custom.files, self.resource.entity, row["id"], viewer)
        return row

    async def _updated(
        self, key: Key, columns: Row, known: Row, context: Context, custom: Changes | None, viewer: Viewer
    ) -> Row | None:
        if custom is None or not custom.files:
            return await self.resource.detailed.updated(key, columns, known, context, custom)
        async with transaction(context):
            row = await self.resource.detailed.updated(key, columns, known, context, custom)
            if row is not None:
                await attach(custom.files, self.resource.entity, row["id"], viewer)
        return row

    def _read(
        self, body: Mapping[str, Any], viewer: Viewer, definitions: Definitions, row: Row | None, *, partial: bool
    ) -> tuple[dict[str, Any], Changes | None]:
        """What to store of a body, for a new record or the one in a row. Raises Invalid for all that is wrong."""
        wrong: dict[str, list[str]] = {}
        values: dict[str, Any] = {}
        custom: Changes | None = None
        try:
            values = self.resource.read(body, partial=partial)
        except Invalid as invalid:
            wrong |= invalid.messages
        try:
            custom = self._custom(body, viewer, definitions, row, partial=partial)
        except Invalid as invalid:
            wrong |= invalid.messages
        if wrong:
            raise Invalid(wrong)
        if self.resource.agree is not None:
            self.resource.agree({**(self.resource.blank if row is None else row), **values}, row, viewer)
        return values, custom

    def _custom(
        self, body: Mapping[str, Any], viewer: Viewer, definitions: Definitions, row: Row | None, *, partial: bool
    ) -> Changes | None:
        entity, given = self.resource.entity, body.get(COLUMN, {})
        if not self.resource.customised or (row is not None and partial and COLUMN not in body):
            return None
        if row is None:
            return definitions.new(entity, given, viewer)
        changes = definitions.changed(entity, given, viewer, row[COLUMN], partial=partial)
        return changes if changes.values else None

    async def narrowed(self, request: web.Request) -> Conditions:
        """What keeps the records that the list would show for these parameters, all pages of it. Raises Invalid."""
        more = filtering.more(request.app[DEFINITIONS].now, request[VIEWER])
        try:
            wanted = Wanted.read(self.resource, pages.query(request), request[VIEWER], more)
            await wanted.check()
            return wanted.conditions
        except NotReady as error:
            raise await custom_indexes.refused(error) from None

    async def _readable(self, what: Selection, key: Key, viewer: Viewer, *, held: bool = False) -> Row:
        """A record as one of the resource's selections has it. Raises NotFound if the viewer may not read it."""
        row = await what.one(key, held=held)
        if row is None or not self.resource.seen(row, "", viewer):
            raise NotFound
        return row

    async def held(self, request: web.Request, wanted: etags.Wanted | None) -> Row:
        """The record in the URL, that the caller may change, in detail, held in this transaction, in a wanted state.

        Raises NotFound, Forbidden, ChangedMeanwhile.
        """
        viewer = request[VIEWER]
        row = await self._readable(self.resource.detailed, self.key(request), viewer, held=True)
        self._allow(Action.UPDATE, row, viewer)
        if wanted is not None:
            wanted.check(self.resource, self._shown(row, viewer, request.app[DEFINITIONS].now))
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

    def _shown(self, row: Row, viewer: Viewer, definitions: Definitions) -> dict[str, Any]:
        shown = self.resource.show(row, viewer, listed=False)
        if self.resource.customised:
            shown[COLUMN] = definitions.show(self.resource.entity, row[COLUMN], viewer)
        return shown
