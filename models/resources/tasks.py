"""Tasks under /api/v1/tasks/."""

from __future__ import annotations

from models.leads import Priority
from models.resources.kinds import SERIAL, Choice, Moment, Text
from models.resources.leads import ASSIGNED_TO_ME
from models.resources.resource import (
    LISTED,
    NAMED,
    NULL,
    READ_ONLY,
    REQUIRED,
    SEARCHED,
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
        Field("title", Text(200), REQUIRED | LISTED | SEARCHED),
        Field("description", Text(), SEARCHED),
        Field("task_type", Choice(TaskType), LISTED),
        Field("status", Choice(TaskStatus), LISTED),
        Field("priority", Choice(Priority), LISTED),
        Reference("assigned_to", USERS, REQUIRED | LISTED | NAMED),
        Reference("created_by", USERS, READ_ONLY | NAMED),
        Field("due_date", Moment(), NULL | LISTED),
        Field("completed_at", Moment(), NULL),
        Field("reminder_date", Moment(), NULL),
        Custom(),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
    ),
)
