"""Tasks: what somebody has to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.contacts import Contact
from models.leads import Lead, Priority
from models.opportunities import Opportunity
from models.users import User


class TaskType(StrEnum):
    """What kind of work a task is."""

    CALL = "call"
    EMAIL = "email"
    MEETING = "meeting"
    FOLLOW_UP = "follow_up"
    PROPOSAL = "proposal"
    DEMO = "demo"
    OTHER = "other"


class TaskStatus(StrEnum):
    """Whether a task is done."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Task(Model):
    """One task. It always is somebody's: deleting the user it is assigned to deletes it."""

    id = fields.BigIntField(primary_key=True)
    title = fields.CharField(max_length=200)
    description: str = columns.prose()
    task_type: TaskType = columns.choice(TaskType, TaskType.OTHER)
    assigned_to: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="assigned_tasks", on_delete=fields.CASCADE, db_index=True
    )
    created_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="created_tasks", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    status: TaskStatus = columns.choice(TaskStatus, TaskStatus.PENDING)
    priority: Priority = columns.choice(Priority, Priority.MEDIUM)
    due_date: Any = columns.moment()
    completed_at: Any = columns.moment()
    reminder_date: Any = columns.moment()
    contact: fields.ForeignKeyNullableRelation[Contact] = fields.ForeignKeyField(
        "models.Contact", related_name="tasks", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    lead: fields.ForeignKeyNullableRelation[Lead] = fields.ForeignKeyField(
        "models.Lead", related_name="tasks", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    opportunity: fields.ForeignKeyNullableRelation[Opportunity] = fields.ForeignKeyField(
        "models.Opportunity", related_name="tasks", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    notes: str = columns.prose()
    tags: Any = columns.items()
    custom_fields: Any = columns.mapping()
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    class Meta:
        table = "crm_tasks"
        constraints = (
            columns.one_of("crm_tasks", "task_type", TaskType),
            columns.one_of("crm_tasks", "status", TaskStatus),
            columns.one_of("crm_tasks", "priority", Priority),
        )
