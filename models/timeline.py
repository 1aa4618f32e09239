"""The timeline: what happened, in one order, derived from events by the agent `timeline`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns


class ItemType(StrEnum):
    """Where an item comes from."""

    AUDIT = "audit"
    ACTIVITY = "activity"
    TASK = "task"
    OPPORTUNITY = "opportunity"


class TimelineItem(Model):
    """One item. It names users and records without keys, because it outlives them."""

    id: Any = columns.key()
    event_id = fields.BigIntField(unique=True)
    type: ItemType = columns.choice(ItemType)
    action = fields.CharField(max_length=50)
    description: str = columns.prose()
    entity_type = fields.CharField(max_length=50)
    entity_id = fields.CharField(max_length=255)
    entity_name: str = columns.text(500)
    user_id = fields.BigIntField(null=True)
    user_name: str = columns.text(301)
    user_email: str = columns.text(254)
    metadata: Any = columns.mapping()
    changes: Any = columns.mapping()
    old_values: Any = columns.mapping()
    new_values: Any = columns.mapping()
    occurred_at: Any = columns.moment(null=False)

    class Meta:
        table = "timeline"
        constraints = (columns.one_of("timeline", "type", ItemType),)
