"""The steps of a job that gives a custom field the indexes it needs, and takes those it does not.

CREATE INDEX CONCURRENTLY takes long and cannot be in a transaction, so it runs beside the steps, on a connection of its
own; each step waits a little and tells how far it is. If the worker dies, a later step finds an index that is not valid
and nobody at work on it, and begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from models import database
from models.custom_fields import DEFINITIONS_CHANNEL
from models.resources.catalogue import RESOURCES
from models.resources.custom import filtering
from models.resources.custom.definitions import load
from streams.steps import CannotGoOn, Progress, Work

#: Seconds that a step waits.
TURN = 1.0

#: Statements under way in this process, by job.
_at_work: dict[UUID, asyncio.Task[None]] = {}

EXISTING = """
SELECT c.relname AS name, i.indisvalid AS valid, p.pid IS NOT NULL AS at_work, p.tuples_done, p.tuples_total
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = c.oid
WHERE starts_with(c.relname, $1)
"""


async def build(connection: asyncpg.Connection, work: Work) -> Progress:
    """Go on with the indexes of a field; finished when they are what it needs."""
    key = int(work.parameters["field"])
    field = next((one for one in (await load(connection)).every if one.id == key), None)
    needed = {} if field is None else filtering.indexes(field)
    table = "" if field is None else RESOURCES[field.entity].table
    rows = await connection.fetch(EXISTING, filtering.prefix(key))
    if {row["name"] for row in rows if row["valid"]} == needed.keys() == {row["name"] for row in rows}:
        _at_work.pop(work.id, None)
        await connection.execute("UPDATE custom_fields_version SET version = version + 1")
        await connection.execute(f"NOTIFY {DEFINITIONS_CHANNEL}")
        return Progress(finished=True, result={"indexes": sorted(needed)})
    if not any(row["at_work"] for row in rows) and work.id not in _at_work:
        unwanted = [row["name"] for row in rows if row["name"] not in needed or not row["valid"]]
        missing = needed.keys() - {row["name"] for row in rows if row["valid"]}
        loop = asyncio.get_running_loop()
        earlier = [task for task in _at_work.values() if task.get_loop() is loop]
        _at_work[work.id] = asyncio.create_task(
            _run(
                earlier,
                [
                    *(f"DROP INDEX CONCURRENTLY IF EXISTS {name}" for name in unwanted),
                    *(f"CREATE INDEX CONCURRENTLY {name} ON {table} {needed[name]}" for name in sorted(missing)),
                ],
            )
        )
    await _wait(work.id)
    total = sum(row["tuples_total"] or 0 for row in rows)
    done = sum(row["tuples_done"] or 0 for row in rows)
    return Progress(finished=False, total=total or None, done=max(0, done - work.done) if total else 0)


async def _wait(job: UUID) -> None:
    """Wait for a turn, or less if what runs here has ended. Raises CannotGoOn if it failed."""
    if (task := _at_work.get(job)) is None:
        await asyncio.sleep(TURN)  # somebody else is at work, of whom there is no word when they are done
        return
    if not (await asyncio.wait({task}, timeout=TURN))[0]:
        return
    del _at_work[job]
    if error := task.exception():
        if any(isinstance(one, asyncpg.DeadlockDetectedError) for one in (error, *error.args)):
            return  # with another index of the same table; the next step begins anew
        raise CannotGoOn(f"The index could not be made: {error}.") from error


async def _run(earlier: Sequence[asyncio.Task[None]], statements: Sequence[str]) -> None:
    """Run them after the earlier ones: two at once wait for each other's snapshots, to a deadlock."""
    if earlier:
        await asyncio.wait(earlier)
    with database.through(None):
        for statement in statements:
            await database.execute(statement, [])
