"""The agent `jobs`: does the steps of long work, one at a time.

A command names a job and the number of a step. The job's row is locked; if that is its next step, one chunk is done,
the number raised and the next command written, all in one transaction. So a chain goes on through whatever is killed,
and never forks. Everybody who looks at `job:<id>` is told after each step, and `activity` once, when the job has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from models import access, database, events, jobs
from models.access import Role, Viewer
from models.events import NewEvent
from models.jobs import ENDED, STEP, JobStatus
from streams import changes, exact, failures, frames
from streams.agent import Agent
from streams.envelope import Event
from streams.steps import CannotGoOn, Progress, Step, Work
from streams.topics import COMMANDS

log = structlog.get_logger()

#: What the owner of a job is told when a step failed by an error nobody foresaw; operators find it among dead events.
UNEXPECTED = "A step failed unexpectedly. It can be resumed once the cause is mended."

LOCK = "SELECT * FROM jobs WHERE id = $1 FOR UPDATE"
VIEWER = "SELECT role FROM crm_users WHERE id = $1 AND is_active"
#: Changes of a step are captured as its owner's, by the request that began the job.
CONTEXT = """SELECT set_config('hub.context', (context || '{"source": "job"}')::text, true) FROM jobs WHERE id = $1"""
SETTLE = """
UPDATE jobs SET step = step + 1, status = $2::text, done = done + $3, failed = failed + $4, total = coalesce($5, total),
    state = $6, result = coalesce($7, result), error = $8, updated_at = clock_timestamp(),
    assigned = $9, finished_at = CASE WHEN $2::text = 'running' THEN NULL ELSE clock_timestamp() END
WHERE id = $1 RETURNING *
"""
FAIL = """
UPDATE jobs SET status = 'failed', error = $2, finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = $1 AND status IN ('pending', 'running') RETURNING *
"""

#: Where a job may do its next step.
OPEN = (JobStatus.PENDING, JobStatus.RUNNING)

Row = Mapping[str, Any]


def agent(kinds: Mapping[str, Step]) -> Agent:
    """The agent that does jobs of these kinds."""

    async def derive(connection: asyncpg.Connection, commands: Sequence[Event], quiet: Collection[int]) -> None:
        for command in commands:
            if command.type == ENDED:
                if command.id not in quiet:
                    await _tell_end(connection, command)
                continue
            if command.type != STEP:
                raise ValueError(f"event {command.id} of type {command.type!r} is no step of a job")
            data = command.data or {}
            row = await connection.fetchrow(LOCK, UUID(data["job"]))
            if row is not None and row["step"] == data["step"] and row["status"] in OPEN:
                await _do(connection, row, kinds.get(row["kind"]))

    return Agent(name="jobs", topics=(COMMANDS,), derive=derive, buried=_buried, publishes=True, batch=1)


async def _buried(connection: asyncpg.Connection, command: Event) -> None:
    """A step was given up on: its job has failed, and can be resumed at that step."""
    if command.type == STEP:
        await _fail(connection, UUID((command.data or {})["job"]), UNEXPECTED)


async def _fail(connection: asyncpg.Connection, id: UUID, error: str) -> None:
    row = await connection.fetchrow(FAIL, id, error[: failures.LONGEST_ERROR])
    if row is not None:
        await _end(connection, row)


async def _end(connection: asyncpg.Connection, row: Row) -> None:
    await events.write(connection, [_told(row)])
    with database.through(connection):
        await jobs.say_ended(row["id"])


async def _tell_end(connection: asyncpg.Connection, ended: Event) -> None:
    """Tell those who may see a job that it has ended; of one that was cancelled, its own channel does not know yet."""
    data = ended.data or {}
    audience = access.audience("job", {"created_by_id": data["created_by"]})
    actor = changes.actor_image(await changes.actors(connection, [ended]), ended)
    told = [frames.job_activity(ended, actor, audience)]
    if data["status"] == JobStatus.CANCELLED:
        row = await connection.fetchrow("SELECT * FROM jobs WHERE id = $1", UUID(data["job"]))
        told += [] if row is None else [_told(row)]
    await events.write(connection, told)


async def _do(connection: asyncpg.Connection, row: Row, step: Step | None) -> None:
    try:
        if step is None:
            raise CannotGoOn(f"This version has no jobs of the kind {row['kind']!r}.")
        async with connection.transaction():
            progress = await _progress(connection, step, row)
    except CannotGoOn as error:
        log.info("job_failed", job=str(row["id"]), kind=row["kind"], error=str(error))
        await _fail(connection, row["id"], str(error))
        return
    status = JobStatus.COMPLETED if progress.finished else JobStatus.RUNNING
    result = None if progress.result is None else exact.dumps(progress.result)
    settled = await connection.fetchrow(
        SETTLE, row["id"], status, progress.done, progress.failed, progress.total,
        exact.dumps(progress.state), result, "", exact.dumps(_assigned(row, progress)),
    )  # fmt: skip
    if progress.finished:
        await _end(connection, settled)
    else:
        await events.write(connection, [_told(settled), _next(settled)])


def _assigned(row: Row, progress: Progress) -> dict[str, int]:
    """How many records whom the job has given, with those of this step."""
    assigned: dict[str, int] = exact.loads(row["assigned"])
    for user, count in progress.assigned.items():
        assigned[str(user)] = assigned.get(str(user), 0) + count
    return assigned


async def _progress(connection: asyncpg.Connection, step: Step, row: Row) -> Progress:
    await connection.execute(CONTEXT, row["id"])
    role = await connection.fetchval(VIEWER, row["created_by_id"])
    if role is None:
        raise CannotGoOn("Whoever began this job is no longer an active user.")
    work = Work(
        id=row["id"],
        step=row["step"],
        viewer=Viewer(id=row["created_by_id"], role=Role(role)),
        parameters=exact.loads(row["parameters"]),
        state=exact.loads(row["state"]),
        total=row["total"],
        done=row["done"],
        failed=row["failed"],
        result=exact.loads(row["result"]),
    )
    with database.through(connection):
        return await step(connection, work)


def _next(row: Row) -> NewEvent:
    """The command for the next step."""
    return NewEvent(
        topic=COMMANDS.name,
        key=str(row["id"]),
        type=STEP,
        subject=f"job:{row['id']}",
        data={"job": str(row["id"]), "step": row["step"]},
        context=exact.loads(row["context"]),
    )


def _told(row: Row) -> NewEvent:
    """How far the job is, for its channel."""
    channel = f"job:{row['id']}"
    job = {key: row[key] for key in ("kind", "status", "total", "done", "failed", "error")}
    finished = row["finished_at"]
    job |= {"id": str(row["id"]), "finished_at": finished and finished.isoformat()}
    return frames.publication(channel, channel, {"type": "job_update", "job": job}, None)
