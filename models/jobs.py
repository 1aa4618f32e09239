"""Jobs: long work done as a chain of short steps.

A job is a row and, in the same transaction, the command for its first step; each step writes the command for the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from tortoise import fields
from tortoise.models import Model

from models import columns, database
from models.database import Context
from models.users import User

#: The topic of commands.
COMMANDS = "crm.commands"
#: The type of a command: do this step of that job.
STEP = "job.step"
#: The type of what is said to those who read commands when a job has ended, whichever way.
ENDED = "job.ended"
#: The source of what jobs change.
SOURCE = "job"

START = """
WITH job AS (
    INSERT INTO jobs (kind, parameters, total, context, created_by_id) VALUES ($1, $2, $3, $4, $5) RETURNING *
), command AS (
    INSERT INTO events (topic, key, type, subject, data, context)
    SELECT '{topic}', id, '{type}', 'job:' || id, jsonb_build_object('job', id, 'step', step), context FROM job
)
SELECT id FROM job
"""

# What was set aside as a dead event is settled with it: the step will be done.
RESUME = """
WITH job AS (
    UPDATE jobs SET status = 'running', error = '', finished_at = NULL, updated_at = now()
    WHERE id = $1 AND status = 'failed' RETURNING *
), settled AS (
    UPDATE dead_events SET retried_at = now()
    WHERE agent = 'jobs' AND retried_at IS NULL AND key IN (SELECT id::text FROM job)
), command AS (
    INSERT INTO events (topic, key, type, subject, data, context)
    SELECT '{topic}', id, '{type}', 'job:' || id, jsonb_build_object('job', id, 'step', step), context FROM job
)
SELECT id FROM job
"""

END = """
INSERT INTO events (topic, key, type, subject, data, context)
SELECT '{topic}', id, '{type}', 'job:' || id, jsonb_build_object(
    'job', id, 'kind', kind, 'entity', parameters ->> 'entity', 'status', status, 'error', error,
    'total', total, 'done', done, 'failed', failed, 'created_by', created_by_id, 'assigned', assigned), context
FROM {job}
"""

CANCEL = """
WITH job AS (
    UPDATE jobs SET status = 'cancelled', finished_at = now(), updated_at = now()
    WHERE id = $1 AND status IN ('pending', 'running', 'failed') RETURNING *
), said AS ({end})
SELECT id FROM job
"""


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Model):
    """One job. `step` is the number of the step to do next; a command for any other step does nothing.

    `parameters` are what was asked for, `state` is what one step leaves for the next, `result` what came of it.
    `context` says who began it, from where and by which request: all its changes are captured under that.
    `assigned` says how many records of `parameters["entity"]` others were given by it, by user id.
    """

    id: Any = columns.key()
    kind = fields.CharField(max_length=50)
    status: JobStatus = columns.choice(JobStatus, JobStatus.PENDING)
    step: int = columns.number()
    total: int = columns.number()
    done: int = columns.number()
    failed: int = columns.number()
    parameters: Any = columns.mapping()
    state: Any = columns.mapping()
    result: Any = columns.mapping()
    context: Any = columns.mapping()
    assigned: Any = columns.mapping()
    error: str = columns.prose()
    created_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="jobs", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()
    finished_at: Any = columns.moment()

    class Meta:
        table = "jobs"
        constraints = (columns.one_of("jobs", "status", JobStatus),)


async def start(kind: str, parameters: Mapping[str, Any], context: Context, *, total: int = 0) -> UUID:
    """Begin a job of this kind, in the transaction that is open here or else in one of its own; returns its id."""
    sql = START.format(topic=COMMANDS, type=STEP)
    values = [kind, orjson.dumps(parameters).decode(), total, context.json(), context.actor]
    (row,) = await database.execute(sql, values, changes=True)
    return UUID(str(row["id"]))


async def resume(id: UUID) -> bool:
    """Go on with a failed job where it stopped; whether there was such a one."""
    return bool(await database.execute(RESUME.format(topic=COMMANDS, type=STEP), [id], changes=True))


async def cancel(id: UUID) -> bool:
    """End a job before its next step; whether there was one to end. What it has done stays done."""
    end = END.format(topic=COMMANDS, type=ENDED, job="job")
    return bool(await database.execute(CANCEL.format(end=end), [id], changes=True))


async def say_ended(id: UUID) -> None:
    """Say that a job has completed or failed, in the transaction in which it does.

    Whom it gave records to is said with it, so if it is resumed or cancelled that is counted anew.
    """
    end = END.format(topic=COMMANDS, type=ENDED, job="jobs WHERE id = $1")
    await database.execute(f"WITH said AS ({end}) UPDATE jobs SET assigned = '{{}}' WHERE id = $1", [id])
