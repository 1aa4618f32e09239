"""Jobs under /api/v1/jobs/: to be looked at by whoever began them."""

from __future__ import annotations

from models.jobs import Job, JobStatus
from models.resources.kinds import Choice, Integer, Moment, Object, Text, Uuid
from models.resources.resource import (
    LISTED,
    NAMED,
    NULL,
    READ_ONLY,
    Computed,
    Field,
    Reference,
    Resource,
)
from models.resources.users import USERS

JOBS = Resource(
    path="jobs",
    entity="job",
    model=Job,
    key=Uuid(),
    called=Computed("kind_name", ("kind",), str),
    fields=(
        Field("id", Uuid(), READ_ONLY | LISTED),
        Field("kind", Text(50), READ_ONLY | LISTED),
        Field("status", Choice(JobStatus), READ_ONLY | LISTED),
        Field("total", Integer(), READ_ONLY | LISTED),
        Field("done", Integer(), READ_ONLY | LISTED),
        Field("failed", Integer(), READ_ONLY | LISTED),
        Field("parameters", Object(), READ_ONLY),
        Field("result", Object(), READ_ONLY),
        Field("error", Text(), READ_ONLY | LISTED),
        Reference("created_by", USERS, READ_ONLY | LISTED | NAMED | NULL),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
        Field("finished_at", Moment(), READ_ONLY | LISTED),
    ),
)
