"""Activities people log on records, and the records they follow."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User


class ActivityAction(StrEnum):
    """What an activity says was done."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    COMMENTED = "commented"
    MENTIONED = "mentioned"
    ASSIGNED = "assigned"
    COMPLETED = "completed"
    SHARED = "shared"
    UPLOADED = "uploaded"
    STATUS_CHANGED = "status_changed"


class Activity(Model):
    """A call, meeting, note or mail logged on a record, named by `object_type` (an entity) and `object_id`."""

    id: Any = columns.key()
    actor: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="activities", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    action: ActivityAction = columns.choice(ActivityAction)
    object_type = fields.CharField(max_length=50)
    object_id = fields.CharField(max_length=255)
    description: str = columns.prose()
    metadata: Any = columns.mapping()
    is_public: bool = columns.flag(True)
    created_at: Any = columns.created()

    class Meta:
        table = "crm_activities"
        constraints = (columns.one_of("crm_activities", "action", ActivityAction),)


class Follow(Model):
    """That a user wants to hear of a record."""

    id: Any = columns.key()
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="follows", on_delete=fields.CASCADE
    )
    object_type = fields.CharField(max_length=50)
    object_id = fields.CharField(max_length=255)
    created_at: Any = columns.created()

    class Meta:
        table = "crm_follows"
        unique_together = (("user", "object_type", "object_id"),)
