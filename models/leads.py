"""Leads: people who may become customers."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User


class LeadSource(StrEnum):
    """Where a lead came from."""

    WEBSITE = "website"
    REFERRAL = "referral"
    SOCIAL_MEDIA = "social_media"
    EMAIL_CAMPAIGN = "email_campaign"
    COLD_CALL = "cold_call"
    TRADE_SHOW = "trade_show"
    ADVERTISEMENT = "advertisement"
    OTHER = "other"


class LeadStatus(StrEnum):
    """How far a lead has come."""

    NEW = "new"
    CONTACTED = "contacted"
    QUALIFIED = "qualified"
    UNQUALIFIED = "unqualified"
    CONVERTED = "converted"
    LOST = "lost"


class Priority(StrEnum):
    """How urgent a lead or a task is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


class Lead(Model):
    """One lead. Its owner is who made it; it stays, without one, when that user is deleted."""

    id = fields.BigIntField(primary_key=True)
    first_name = fields.CharField(max_length=100)
    last_name = fields.CharField(max_length=100)
    email = fields.CharField(max_length=254)
    phone: str = columns.text(20)
    company_name: str = columns.text(200)
    job_title: str = columns.text(100)
    lead_source: LeadSource = columns.choice(LeadSource, LeadSource.WEBSITE, length=50)
    status: LeadStatus = columns.choice(LeadStatus, LeadStatus.NEW)
    priority: Priority = columns.choice(Priority, Priority.MEDIUM)
    assigned_to: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="assigned_leads", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    owner: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="owned_leads", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    lead_score: int = columns.number()
    probability: int = columns.number()
    estimated_value: Decimal | None = columns.money(null=True)
    last_contact_date: Any = columns.moment()
    next_follow_up: Any = columns.moment()
    converted_at: Any = columns.moment()
    notes: str = columns.prose()
    tags: Any = columns.items()
    custom_fields: Any = columns.mapping()
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"

    class Meta:
        table = "crm_leads"
        constraints = (
            columns.one_of("crm_leads", "lead_source", LeadSource),
            columns.one_of("crm_leads", "status", LeadStatus),
            columns.one_of("crm_leads", "priority", Priority),
            columns.between("crm_leads", "lead_score", 0, 100),
            columns.between("crm_leads", "probability", 0, 100),
        )
