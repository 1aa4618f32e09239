"""Notifications, derived from events, and which of them were read, which is a fact of its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User


class NotificationType(StrEnum):
    """Why somebody is notified."""

    MENTION = "mention"
    COMMENT = "comment"
    ASSIGNMENT = "assignment"
    UPDATE = "update"
    REMINDER = "reminder"
    SYSTEM = "system"


class Notification(Model):
    """What an event has to tell one user. Made by the agent `notifications`, so it refers to nothing by key."""

    id: Any = columns.key()
    event_id = fields.BigIntField()
    user_id = fields.BigIntField()
    notification_type: NotificationType = columns.choice(NotificationType)
    title = fields.CharField(max_length=255)
    message: str = columns.prose()
    object_type: str = columns.text(50)
    object_id: str = columns.text(255)
    actor_id = fields.BigIntField(null=True)
    action_url: str = columns.text(500)
    created_at: Any = columns.created()

    class Meta:
        table = "notifications"
        unique_together = (("event_id", "user_id", "notification_type"),)
        constraints = (columns.one_of("notifications", "notification_type", NotificationType),)


class NotificationRead(Model):
    """That a notification was read. It outlives a rebuild of `notifications`, whose ids are made from their event."""

    id = fields.BigIntField(primary_key=True)
    notification_id = fields.UUIDField(unique=True)
    user: fields.ForeignKeyRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="notification_reads", on_delete=fields.CASCADE, db_index=True
    )
    read_at: Any = columns.created()

    class Meta:
        table = "notification_reads"
