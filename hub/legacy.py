"""The paths the shipped clients use, beside those under /api/v1/: the same handlers under other names.

Only names differ, of paths, of parameters and of keys; and two overviews have a shape of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiohttp import web

from hub import bulk, leads, notifications, opportunities, tasks
from hub.errors import Forbidden, Handler
from hub.openapi import resources as described
from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import COUNT, TEXT, fields, many
from hub.records import Records
from hub.requests import VIEWER, only, parse_object
from hub.responses import respond
from hub.statistics import by_word
from models.opportunities import Stage
from models.resources import statistics
from models.resources.contacts import CONTACTS
from models.resources.jobs import JOBS
from models.resources.leads import LEADS
from models.resources.mistakes import Invalid
from models.resources.opportunities import OPPORTUNITIES
from models.resources.resource import Resource
from models.resources.tasks import TASKS
from models.tasks import TaskStatus
from models.wire import dump

#: Deals shown of each stage of the pipeline, the newest.
MOST_DEALS = 100

Line = tuple[str, str, Handler]


@dataclass(frozen=True, kw_only=True)
class Base:
    """A kind of record under its old path."""

    path: str
    resource: Resource
    #: Old name of a query parameter to the one it has now.
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: What else there is: method, path after that of the list, handler.
    actions: tuple[Line, ...] = ()

    @property
    def ids(self) -> str:
        """What a change of many calls the ids."""
        return f"{self.resource.entity}_ids"

    def lines(self) -> Iterator[Line]:
        """Method, path and handler of each of its routes."""
        records = Records(self.resource)
        one = f"{self.path}{{id:[0-9]+}}/"
        yield "GET", self.path, self.list(records.index)
        yield "POST", self.path, records.create
        yield "POST", f"{self.path}bulk_update/", self.many("update", "updated", updates="updates")
        yield "POST", f"{self.path}bulk_delete/", self.many("delete", "deleted")
        yield "GET", one, records.retrieve
        yield "PUT", one, records.put
        yield "PATCH", one, records.patch
        yield "DELETE", one, records.delete
        for method, rest, handler in self.actions:
            yield method, self.path + rest, handler

    def list(self, index: Handler) -> Handler:
        """The list, with the parameters under their old names too."""

        known = described.index(self.resource)
        now = {one.name: one for one in known.parameters}
        old = tuple(replace(now[new], name=name) for name, new in self.parameters.items())

        @documented(replace(known, parameters=(*known.parameters, *old)))
        async def listed(request: web.Request) -> web.StreamResponse:
            """A part of the records the caller may see."""
            query = [(self.parameters.get(name, name), value) for name, value in request.query.items()]
            renamed = request.clone(rel_url=request.rel_url.with_query(query))
            renamed[VIEWER] = request[VIEWER]
            return await index(renamed)

        return listed if self.parameters else index

    def many(self, action: str, done: str, *, updates: str = "") -> Handler:
        """The change of many, which says it in its own words: {<kind>_ids, updates} for {message, <done>_count}."""

        names = {"ids": self.ids, "data": updates}

        @documented(self._operation(done, updates))
        async def change(request: web.Request) -> web.StreamResponse:
            """Change or delete many records: to each what a single change would do or say."""
            raw = await request.read()
            body = parse_object(raw)
            only(body, (self.ids, *([updates] if updates else [])))
            asked = {"ids": body.get(self.ids), "action": action} | ({"data": body.get(updates)} if updates else {})
            try:
                answer = await bulk.change(request, self.resource, asked, raw)
            except Invalid as invalid:
                raise Invalid({names.get(name, name): said for name, said in invalid.messages.items()}) from None
            if answer.status != 200:
                return answer
            assert isinstance(answer.body, bytes)
            said = orjson.loads(answer.body)
            count = said.pop(done)
            answer.body = dump({"message": f"{count} {self.resource.path} {done}.", f"{done}_count": count, **said})
            return answer

        return change

    def _operation(self, done: str, updates: str) -> Operation:
        data = {updates: bulk.changes_of(self.resource)} if updates else {}
        return Operation(
            body=fields({self.ids: bulk.ids_of(self.resource), **data}),
            answers={
                200: fields({**bulk.COUNTS, "message": TEXT, f"{done}_count": COUNT}),
                202: described.detailed(JOBS),
            },
            refusals=(Forbidden,),
            idempotent=True,
        )


_STAGE = fields(
    name=TEXT, opportunities=many(described.listed(OPPORTUNITIES)), count=COUNT, total_value={"type": "number"}
)


@documented(
    Operation(
        answers={200: by_word(Stage, _STAGE)},
        parameters=described.narrowing(OPPORTUNITIES),
        refusals=described.narrowing_refusals(OPPORTUNITIES),
    )
)
async def pipeline(request: web.Request) -> web.Response:
    """Deals by stage: how many, worth what, and the newest of them."""
    conditions = await opportunities.RECORDS.narrowed(request)
    numbers = await statistics.pipeline(conditions, request[VIEWER])
    newest = (
        "SELECT id, created_at AS made FROM (SELECT id, created_at, row_number() OVER (PARTITION BY stage"
        f" ORDER BY created_at DESC, id DESC) AS place FROM crm_opportunities WHERE {conditions.sql}) AS ranked"
        f" WHERE place <= {MOST_DEALS}"
    )
    rows = await OPPORTUNITIES.listed.found(newest, conditions.values, ["made"], "made DESC, id DESC")
    deals = [OPPORTUNITIES.show(row, request[VIEWER], listed=True) for row in rows]
    return respond(
        {
            stage.value: {
                "name": _name(stage),
                "opportunities": [deal for deal in deals if deal["stage"] == stage],
                "count": numbers["by_stage"][stage]["count"],
                "total_value": numbers["by_stage"][stage]["total_value"],
            }
            for stage in Stage
        }
    )


@documented(
    Operation(
        answers={
            200: fields(
                status_counts=by_word(TaskStatus, fields(name=TEXT, count=COUNT)),
                overdue_tasks=COUNT,
                due_today_tasks=COUNT,
                due_this_week_tasks=COUNT,
            )
        },
        parameters=described.narrowing(TASKS),
        refusals=described.narrowing_refusals(TASKS),
    )
)
async def dashboard(request: web.Request) -> web.Response:
    """Tasks by status, and how many are due."""
    numbers = await statistics.duties(await tasks.RECORDS.narrowed(request))
    counts: dict[str, Any] = {
        status.value: {"name": _name(status), "count": numbers["by_status"][status]} for status in TaskStatus
    }
    return respond(
        {
            "status_counts": counts,
            "overdue_tasks": numbers["overdue"],
            "due_today_tasks": numbers["today"],
            "due_this_week_tasks": numbers["week"],
        }
    )


def _name(word: str) -> str:
    return word.replace("_", " ").title()


BASES = (
    Base(
        path="/api/leads/leads/",
        resource=LEADS,
        parameters={"source": "lead_source"},
        actions=(("POST", "{id:[0-9]+}/convert/", leads.convert),),
    ),
    Base(path="/api/contacts/contacts/", resource=CONTACTS),
    Base(
        path="/api/opportunities/opportunities/",
        resource=OPPORTUNITIES,
        parameters={"min_amount": "amount__gte", "max_amount": "amount__lte"},
        actions=(
            ("POST", "{id:[0-9]+}/update_stage/", opportunities.update_stage),
            ("GET", "pipeline/", pipeline),
        ),
    ),
    Base(
        path="/api/tasks/tasks/",
        resource=TASKS,
        actions=(
            ("POST", "{id:[0-9]+}/complete/", tasks.complete),
            ("POST", "{id:[0-9]+}/reopen/", tasks.reopen),
            ("GET", "dashboard/", dashboard),
        ),
    ),
)

NOTIFICATIONS: tuple[Line, ...] = (
    ("GET", "", notifications.index),
    ("POST", "mark_all_read/", notifications.mark_all_read),
    ("GET", "unread_count/", notifications.unread_count),
    ("GET", "{id}/", notifications.retrieve),
    ("POST", "{id}/mark_read/", notifications.mark_read),
)


def lines() -> Iterator[Line]:
    """Method, path and handler of every route there is under an old path."""
    for base in BASES:
        yield from base.lines()
    for feed in ("activity", "activity-feed"):
        for method, rest, handler in NOTIFICATIONS:
            yield method, f"/api/{feed}/notifications/{rest}", handler
