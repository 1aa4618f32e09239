"""Numbers over the lists: what is counted is what the list would show for the same filters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any

from aiohttp import web

from hub.errors import Handler
from hub.openapi.operation import Operation, documented
from hub.openapi.resources import narrowing, narrowing_refusals
from hub.openapi.shapes import COUNT, Shape, by_name, fields
from hub.records import Records
from hub.requests import VIEWER
from hub.responses import respond
from models.access import Viewer
from models.contacts import ContactType
from models.leads import LeadStatus, Priority
from models.opportunities import Stage
from models.resources import statistics as numbers
from models.resources.conditions import Conditions
from models.resources.kinds import Schema
from models.tasks import TaskStatus

Counted = Callable[[Conditions, Viewer], Awaitable[dict[str, Any]]]


def by_word(words: type[StrEnum], of: Shape = COUNT) -> Schema:
    """One for each word."""
    return fields({word.value: of for word in words})


_AMOUNT: Schema = {"type": "number"}
_STAGE = fields(count=COUNT, total_value=_AMOUNT, weighted_value=_AMOUNT)

#: What each of them answers.
SHAPES: Mapping[Counted, Schema] = {
    numbers.leads: fields(
        total=COUNT,
        by_status=by_word(LeadStatus),
        by_priority=by_word(Priority),
        assigned_to_me=COUNT,
        high_score=COUNT,
    ),
    numbers.contacts: fields(total=COUNT, by_type=by_word(ContactType), by_status=by_name(COUNT)),
    numbers.pipeline: fields(total_value=_AMOUNT, total_weighted_value=_AMOUNT, by_stage=by_word(Stage, _STAGE)),
    numbers.tasks: fields(total=COUNT, by_status=by_word(TaskStatus), assigned_to_me=COUNT, overdue=COUNT),
}


def handler(records: Records, counted: Counted) -> Handler:
    """The handler that answers some numbers over a resource's list, with the filters of the list."""

    refusals = narrowing_refusals(records.resource)

    @documented(
        Operation(answers={200: SHAPES[counted]}, parameters=narrowing(records.resource), refusals=refusals),
    )
    async def statistics(request: web.Request) -> web.StreamResponse:
        """Numbers over the list, narrowed as the list can be."""
        return respond(await counted(await records.narrowed(request), request[VIEWER]))

    return statistics
