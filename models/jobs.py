"""Jobs: long work done as a chain of short steps."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Model):
    """One job. `step` is the number of the step to do next; a command for any other step does nothing."""

    id: Any = columns.key()
    kind = fields.CharField(max_length=50)
    status: JobStatus = columns.choice(JobStatus, JobStatus.PENDING)
    step: int = columns.number()
    total: int = columns.number()
    done: int = columns.number()
    failed: int = columns.number()
    parameters: Any = columns.mapping()
    result: Any = columns.mapping()
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
