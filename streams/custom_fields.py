"""The steps of jobs that go through all records with a custom field: to change its values, and for search."""

from __future__ import annotations

import asyncpg

from models import jobs
from models.database import Context
from models.resources.custom import filtering, searching
from models.resources.custom.definitions import load
from models.resources.custom.rewriting import Rewriting
from streams.steps import Progress, Work

#: Records that one step changes.
CHUNK = 1_000


async def rewrite(connection: asyncpg.Connection, work: Work) -> Progress:
    """Rewrite the next records; when there are no more, give the field its new definition."""
    rewriting = Rewriting.of(work.parameters)
    last, changed, lost = await rewriting.chunk(work.state.get("after", 0), CHUNK)
    result = {"changed": work.result.get("changed", 0) + changed, "lost": work.result.get("lost", 0) + lost}
    if last is None:
        await rewriting.finish()
        if rewriting.field.filterable:
            context = Context(actor=work.viewer.id, source="job")
            await jobs.start(filtering.JOB, {"field": rewriting.field.id}, context)
        return Progress(finished=True, result=result)
    return Progress(finished=False, done=changed, state={"after": last}, result=result)


async def search(connection: asyncpg.Connection, work: Work) -> Progress:
    """Make the documents of the next records anew, whose searchable fields are others now."""
    field = next((one for one in (await load(connection)).every if one.id == work.parameters["field"]), None)
    last, count = (None, 0) if field is None else await searching.chunk(field, work.state.get("after", 0), CHUNK)
    if last is None:
        return Progress(finished=True)
    return Progress(finished=False, done=count, state={"after": last})
