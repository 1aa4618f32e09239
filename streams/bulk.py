"""The step of a bulk job: the next chunk of its records."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson

from models.resources import bulk
from models.resources.bulk import Action, Result
from models.resources.catalogue import RESOURCES
from models.resources.mistakes import Invalid
from streams import exact
from streams.steps import CannotGoOn, Progress, Work

#: The kinds of bulk jobs, each called after what it does.
KINDS = tuple(f"bulk_{action}" for action in Action)


async def step(connection: asyncpg.Connection, work: Work) -> Progress:
    """Change the next records that were named."""
    # The numbers of a request, not the exact ones of a row: that is what was validated.
    body: dict[str, Any] = orjson.loads(exact.dumps(work.parameters))
    try:
        asked = bulk.read(RESOURCES[body.pop("entity")], body)
    except Invalid as invalid:
        raise CannotGoOn(f"What was asked for is not valid any more: {invalid}") from invalid
    at = work.state.get("at", 0)
    end = at + bulk.CHUNK
    done = await bulk.apply(asked, work.viewer, asked.ids[at:end])
    result = dict(work.result) or {"updated": 0, "deleted": 0, "unchanged": 0, "errors": []}
    for one in (Result.UPDATED, Result.DELETED, Result.UNCHANGED):
        result[one] += done.count(one)
    result["errors"] = [*result["errors"], *(outcome.json() for outcome in done.failed)]
    return Progress(
        finished=end >= len(asked.ids),
        done=len(done.outcomes) - len(done.failed),
        failed=len(done.failed),
        total=len(asked.ids),
        state={"at": end},
        result=result,
        assigned=done.assigned,
    )
