"""The job of an import, step by step: what an earlier one left is cleared, rows are read, checked and written.

A dry run ends after the check. Where one bad row spoils all of them, nothing is written before every row was checked;
should the records have changed since so that a row is bad after all, what was written is taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from uuid import UUID

import asyncpg
import orjson

from models.imports import plan
from models.imports.table import Row, Table
from models.resources.mistakes import Invalid
from models.wire import dump
from streams import exact
from streams.imports import source, undoing, writing
from streams.imports.decisions import Judge, Verdict, Waiting
from streams.steps import CannotGoOn, Progress, Work

#: Rows removed, and rows judged and written, in one step.
CLEARED = 20_000
JUDGED = 8_000
#: Rows read before other work of the process gets its turn.
TURN = 250


class Phase(StrEnum):
    """What the next step of an import does."""

    CLEAR = "clear"
    READ = "read"
    CHECK = "check"
    WRITE = "write"
    TAKE_BACK = "take_back"


@dataclass(frozen=True, kw_only=True)
class Task:
    """An import as its next step finds it."""

    id: UUID
    size: int
    table: Table
    #: Whether rows are written, or only checked.
    write: bool

    @property
    def strict(self) -> bool:
        """Whether one bad row keeps all of them out."""
        return not self.table.choices.skip_errors

    @property
    def passes(self) -> int:
        """How often a row that can be read is looked at after that."""
        return 2 if self.write and self.strict else 1


async def step(connection: asyncpg.Connection, work: Work) -> Progress:
    """Do the next step of an import."""
    task = await _task(connection, work)
    return await PHASES[Phase(work.state.get("phase", Phase.CLEAR))](connection, work, task)


async def _task(connection: asyncpg.Connection, work: Work) -> Task:
    row = await connection.fetchrow("SELECT * FROM imports WHERE id = $1 FOR SHARE", UUID(work.parameters["import"]))
    if row is None:
        raise CannotGoOn("The file was removed.")
    read = {name: exact.loads(row[name]) for name in ("detected", "options", "mapping")}
    try:
        table = plan.table(row["type"], read["detected"], read["options"], read["mapping"])
    except Invalid as error:
        raise CannotGoOn(
            "; ".join(f"{name}: {text}" for name, many in error.messages.items() for text in many)
        ) from error
    return Task(id=row["id"], size=row["size"], table=table, write=work.parameters["write"])


async def _clear(connection: asyncpg.Connection, work: Work, task: Task) -> Progress:
    """Remove what an earlier run read."""
    done = await connection.execute(
        """DELETE FROM import_rows WHERE import_id = $1
           AND n IN (SELECT n FROM import_rows WHERE import_id = $1 ORDER BY n LIMIT $2)""",
        task.id,
        CLEARED,
    )
    if done != "DELETE 0":
        return Progress(finished=False, state={"phase": Phase.CLEAR})
    return await _read(connection, work, task)


async def _read(connection: asyncpg.Connection, work: Work, task: Task) -> Progress:
    """Read the next rows, as far as each can be judged alone."""
    state = work.state if work.state.get("phase") == Phase.READ else {"at": 0, "n": 0, "good": 0}
    taken = await source.take(connection, task.id, task.size, task.table.form, state["at"])
    header = task.table.form.header and state["n"] == 0
    first = state["n"] + 1
    numbered = list(enumerate(taken.records, first))[1 if header else 0 :]
    rows: list[Row] = []
    for begin in range(0, len(numbered), TURN):
        rows += task.table.rows(numbered[begin : begin + TURN])
        await asyncio.sleep(0)
    await _keep(connection, task, rows)
    bad = sum(1 for row in rows if row.errors)
    good, read = state["good"] + len(rows) - bad, work.done + len(rows)
    if not taken.ended:
        following = {"phase": Phase.READ, "at": taken.at, "n": first - 1 + len(taken.records), "good": good}
        return Progress(finished=False, done=len(rows), failed=bad, state=following)
    counts = {"rows": read, "created": 0, "updated": 0, "unchanged": 0, "duplicates": 0}
    phase = Phase.CHECK if task.strict or not task.write else Phase.WRITE
    return Progress(
        finished=False,
        done=len(rows),
        failed=bad,
        total=read + good * task.passes,
        state={"phase": phase, "n": 0, "counts": counts},
    )


async def _keep(connection: asyncpg.Connection, task: Task, rows: Sequence[Row]) -> None:
    records = [
        (
            task.id,
            row.number,
            [cell.replace("\x00", "\ufffd") for cell in row.cells],
            dump(row.values).decode(),
            dump(row.sums).decode() if row.sums else None,
            row.key,
            orjson.dumps(row.errors).decode() if row.errors else None,
        )
        for row in rows
    ]
    columns = ("import_id", "n", "cells", "values", "sums", "key", "errors")
    await connection.copy_records_to_table("import_rows", records=records, columns=columns)


async def _check(connection: asyncpg.Connection, work: Work, task: Task) -> Progress:
    """Judge the next rows, and write nothing."""
    rows = await _waiting(connection, task.id, work.state["n"])
    judge = Judge(connection=connection, import_id=task.id, table=task.table, viewer=work.viewer)
    verdict = await judge.verdict(rows)
    found = {"created": len(verdict.creates), "updated": len(verdict.updates), "duplicates": verdict.duplicates}
    counts = _added(work.state["counts"], found)
    await _refuse(connection, task.id, verdict.refused)
    failed = work.failed + len(verdict.refused)
    progress = partial(Progress, done=len(rows), failed=len(verdict.refused))
    if len(rows) == JUDGED:
        state = {"phase": Phase.CHECK, "n": rows[-1].n, "counts": counts}
        return progress(finished=False, state=state)
    if not task.write:
        return progress(finished=True, result={"dry_run": True, **counts, "errors": failed})
    nothing = {**counts, "created": 0, "updated": 0, "duplicates": 0}
    if failed:
        return progress(finished=True, result={"dry_run": False, **nothing, "errors": failed})
    return progress(finished=False, state={"phase": Phase.WRITE, "n": 0, "counts": nothing})


async def _write(connection: asyncpg.Connection, work: Work, task: Task) -> Progress:
    """Judge the next rows as they are now, and write those that are good."""
    rows = await _waiting(connection, task.id, work.state["n"])
    judge = Judge(connection=connection, import_id=task.id, table=task.table, viewer=work.viewer, writing=True)
    verdict = await judge.verdict(rows)
    if task.strict and verdict.refused:
        return await _spoilt(connection, task, verdict)
    written = await writing.write(connection, task.id, task.table, verdict)
    if task.strict and verdict.refused:
        raise CannotGoOn("Records changed while they were written; nothing of this step was kept. Run it again.")
    await _refuse(connection, task.id, verdict.refused)
    counts = _added(work.state["counts"], {**written, "duplicates": verdict.duplicates})
    given = verdict.given(work.viewer)
    progress = partial(Progress, done=len(rows), failed=len(verdict.refused), assigned=given)
    if len(rows) == JUDGED:
        state = {"phase": Phase.WRITE, "n": rows[-1].n, "counts": counts}
        return progress(finished=False, state=state)
    errors = work.failed + len(verdict.refused)
    return progress(finished=True, result={"dry_run": False, **counts, "errors": errors})


async def _spoilt(connection: asyncpg.Connection, task: Task, verdict: Verdict) -> Progress:
    """A row that was good when it was checked is not any more: note it, and begin to take back what was written."""
    await _refuse(connection, task.id, verdict.refused)
    return Progress(finished=False, failed=len(verdict.refused), state={"phase": Phase.TAKE_BACK})


async def _take_back(connection: asyncpg.Connection, work: Work, task: Task) -> Progress:
    below = work.state.get("below", undoing.END)
    undone = await undoing.undo(connection, task.id, task.table.resource, work.viewer, below=below)
    if undone.rows == undoing.ROWS:
        return Progress(finished=False, state={"phase": Phase.TAKE_BACK, "below": undone.last})
    nothing = dict.fromkeys(("created", "updated", "unchanged", "duplicates"), 0)
    return Progress(finished=True, result={"dry_run": False, **nothing, "errors": work.failed})


async def _waiting(connection: asyncpg.Connection, import_id: UUID, after: int) -> list[Waiting]:
    rows = await connection.fetch(
        """SELECT n, key, values, sums FROM import_rows
           WHERE import_id = $1 AND n > $2 AND errors IS NULL ORDER BY n LIMIT $3""",
        import_id,
        after,
        JUDGED,
    )
    return [
        Waiting(row["n"], row["key"], orjson.loads(row["values"]), orjson.loads(row["sums"] or "{}")) for row in rows
    ]


async def _refuse(connection: asyncpg.Connection, import_id: UUID, refused: Mapping[int, Mapping[str, str]]) -> None:
    if refused:
        await connection.execute(
            """UPDATE import_rows r SET refused = given.why FROM unnest($2::int[], $3::jsonb[]) AS given(n, why)
               WHERE r.import_id = $1 AND r.n = given.n""",
            import_id,
            list(refused),
            [orjson.dumps(why).decode() for why in refused.values()],
        )


def _added(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: count + more.get(name, 0) for name, count in counts.items()}


PHASES: Mapping[Phase, Callable[[asyncpg.Connection, Work, Task], Awaitable[Progress]]] = {
    Phase.CLEAR: _clear,
    Phase.READ: _read,
    Phase.CHECK: _check,
    Phase.WRITE: _write,
    Phase.TAKE_BACK: _take_back,
}


async def undo(connection: asyncpg.Connection, work: Work) -> Progress:
    """Take back the next changes of an import."""
    row = await connection.fetchrow("SELECT type FROM imports WHERE id = $1 FOR SHARE", UUID(work.parameters["import"]))
    if row is None:
        raise CannotGoOn("The file was removed.")
    return await undoing.step(connection, work, plan.TYPES[row["type"]])
