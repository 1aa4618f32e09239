"""The audit trail and the history of single fields, derived from change events by the agent `audit`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns


class AuditAction(StrEnum):
    """What was done to a record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    VIEW = "view"
    EXPORT = "export"
    IMPORT = "import"
    SHARE = "share"
    PERMISSION_CHANGE = "permission_change"


class AuditTrail(Model):
    """One event on one record. It names users and records without keys, because it outlives them."""

    id: Any = columns.key()
    event_id = fields.BigIntField(unique=True)
    user_id = fields.BigIntField(null=True)
    user_email: str = columns.text(254)
    object_type = fields.CharField(max_length=50)
    object_id = fields.CharField(max_length=255)
    object_repr: str = columns.text(500)
    action: AuditAction = columns.choice(AuditAction)
    description: str = columns.prose()
    changes: Any = columns.mapping()
    old_values: Any = columns.mapping()
    new_values: Any = columns.mapping()
    ip_address = columns.InetField(null=True)
    user_agent: str = columns.prose()
    request_id = fields.UUIDField(null=True)
    metadata: Any = columns.mapping()
    timestamp: Any = columns.moment(null=False)

    class Meta:
        table = "audit_trail"
        constraints = (columns.one_of("audit_trail", "action", AuditAction),)


class FieldHistory(Model):
    """One field's change, as part of an audit record. Values are text; `*_display` is how a person reads them."""

    id: Any = columns.key()
    event_id = fields.BigIntField()
    audit_trail_id = fields.UUIDField()
    object_type = fields.CharField(max_length=50)
    object_id = fields.CharField(max_length=255)
    field_name = fields.CharField(max_length=200)
    field_label: str = columns.text(200)
    old_value = fields.TextField(null=True)
    new_value = fields.TextField(null=True)
    old_value_display = fields.TextField(null=True)
    new_value_display = fields.TextField(null=True)
    changed_by_id = fields.BigIntField(null=True)
    changed_at: Any = columns.moment(null=False)

    class Meta:
        table = "field_history"
        unique_together = (("event_id", "field_name"),)
