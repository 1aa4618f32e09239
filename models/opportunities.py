"""Opportunities: deals with a contact, and the stages they pass."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.migrations.constraints import CheckConstraint
from tortoise.models import Model

from models import columns
from models.contacts import Contact
from models.users import User

#: The only values a deal's probability may have, in percent.
PROBABILITIES = (10, 25, 50, 75, 90, 100)


class Stage(StrEnum):
    """How far a deal has come."""

    PROSPECTING = "prospecting"
    QUALIFICATION = "qualification"
    PROPOSAL = "proposal"
    NEGOTIATION = "negotiation"
    CLOSED_WON = "closed_won"
    CLOSED_LOST = "closed_lost"


#: Stages in which a deal is over.
CLOSED = (Stage.CLOSED_WON, Stage.CLOSED_LOST)


class Opportunity(Model):
    """One deal. It goes with its contact; its owner is who made it."""

    id = fields.BigIntField(primary_key=True)
    name = fields.CharField(max_length=200)
    description: str = columns.prose()
    company_name: str = columns.text(200)
    contact: fields.ForeignKeyRelation[Contact] = fields.ForeignKeyField(
        "models.Contact", related_name="opportunities", on_delete=fields.CASCADE, db_index=True
    )
    stage: Stage = columns.choice(Stage, Stage.PROSPECTING)
    probability: int = columns.number(10)
    amount: Decimal = columns.money()
    currency = fields.CharField(max_length=3, default="USD", db_default="USD")
    assigned_to: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="assigned_opportunities", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    owner: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="owned_opportunities", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    expected_close_date = fields.DateField()
    actual_close_date = fields.DateField(null=True)
    last_activity_date: Any = columns.moment()
    notes: str = columns.prose()
    tags: Any = columns.items()
    custom_fields: Any = columns.mapping()
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    @property
    def weighted_amount(self) -> Decimal:
        """Amount times probability, in cents' precision."""
        return (self.amount * self.probability / 100).quantize(Decimal("0.01"))

    class Meta:
        table = "crm_opportunities"
        constraints = (
            columns.one_of("crm_opportunities", "stage", Stage),
            CheckConstraint(
                check=f"probability IN ({', '.join(map(str, PROBABILITIES))})",
                name="crm_opportunities_probability_choice",
            ),
        )


class OpportunityStage(Model):
    """A stage as an organisation names and weighs it."""

    id: Any = columns.key()
    name = fields.CharField(max_length=100)
    description: str = columns.prose()
    probability: int = columns.number()
    order: int = columns.number()
    is_closed: bool = columns.flag(False)
    is_won: bool = columns.flag(False)
    created_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="created_stages", null=True, on_delete=fields.SET_NULL
    )
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    class Meta:
        table = "crm_opportunity_stages"
        constraints = (columns.between("crm_opportunity_stages", "probability", 0, 100),)
