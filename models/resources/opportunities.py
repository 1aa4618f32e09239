"""Opportunities under /api/v1/opportunities/."""

from __future__ import annotations

import decimal

from models.opportunities import PROBABILITIES, Opportunity, Stage
from models.resources.contacts import CONTACTS
from models.resources.kinds import SERIAL, Choice, Currency, Day, Decimal, Moment, OneOf, Tags, Text
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
    Reference,
    Resource,
)
from models.resources.users import USERS


def weighted_amount(amount: decimal.Decimal, probability: int) -> decimal.Decimal:
    """What a deal counts in the pipeline, to the cent."""
    return (amount * probability / 100).quantize(decimal.Decimal("0.01"))


OPPORTUNITIES = Resource(
    path="opportunities",
    entity="opportunity",
    model=Opportunity,
    called=Computed("name", ("name",), str),
    author="owner",
    presets=(ASSIGNED_TO_ME,),
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("name", Text(200), REQUIRED | LISTED | SEARCHED),
        Field("description", Text()),
        Field("company_name", Text(200), LISTED | SEARCHED),
        Reference("contact", CONTACTS, REQUIRED | LISTED | NAMED | SEARCHED),
        Field("stage", Choice(Stage), LISTED),
        Field("probability", OneOf(PROBABILITIES), LISTED),
        Field("amount", Decimal(12, 2), REQUIRED | LISTED),
        Field("currency", Currency(), LISTED),
        Computed("weighted_amount", ("amount", "probability"), weighted_amount, LISTED, Decimal(12, 2)),
        Reference("assigned_to", USERS, NULL | LISTED | NAMED),
        Reference("owner", USERS, READ_ONLY | NAMED),
        Field("expected_close_date", Day(), REQUIRED | LISTED),
        Field("actual_close_date", Day(), NULL),
        Field("last_activity_date", Moment(), NULL),
        Field("notes", Text()),
        Field("tags", Tags()),
        Custom(),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
    ),
)
