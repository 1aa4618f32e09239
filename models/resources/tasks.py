"""Tasks under /api/v1/tasks/."""

from __future__ import annotations

from models.leads import Priority
from models.resources.kinds import SERIAL, Choice, Moment, Text
from models.resources.leads import ASSIGNED_TO_ME
from models.resources.resource import (
    FILTERED,
    LISTED,
    NAMED,
    NULL,
    ORDERED,
    READ_ONLY,
    REQUIRED,
    Computed,
    Custom,
    Field,
    Preset,
    Reference,
    Resource,
)
from models.resources.users import USERS
from models.tasks import Task, TaskStatus, TaskType

#: Due, and still to be done.
OVERDUE = Preset("overdue", f"due_date < now() AND status IN ('{TaskStatus.PENDING}', '{TaskStatus.IN_PROGRESS}')")


TASKS = Resource(
    path="tasks",
    entity="task",
    model=Task,
    called=Computed("title", ("title",), str),
    author="created_by",
    presets=(ASSIGNED_TO_ME, OVERDUE),
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("title", Text(200), REQUIRED | LISTED),
        Field("description", Text()),
        Field("task_type", Choice(TaskType), LISTED | FILTERED),
        Field("status", Choice(TaskStatus), LISTED | FILTERED),
        Field("priority", Choice(Priority), LISTED | FILTERED | ORDERED),
        Reference("assigned_to", USERS, REQUIRED | LISTED | NAMED | FILTERED),
        Reference("created_by", USERS, READ_ONLY | NAMED),
        Field("due_date", Moment(), NULL | LISTED | ORDERED),
        Field("completed_at", Moment(), NULL),
        Field("reminder_date", Moment(), NULL),
        Custom(),
        Field("created_at", Moment(), READ_ONLY | LISTED | ORDERED),
        Field("updated_at", Moment(), READ_ONLY | LISTED | ORDERED),
    ),
)
