"""Leads under /api/v1/leads/."""

from __future__ import annotations

from models.leads import Lead, LeadSource, LeadStatus, Priority
from models.resources.kinds import SERIAL, Choice, Decimal, Email, Integer, Moment, Tags, Text
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

FULL_NAME = Computed("full_name", ("first_name", "last_name"), "{} {}".format)

#: Records that are assigned to the caller.
ASSIGNED_TO_ME = Preset("assigned_to_me", "assigned_to_id = {}")

LEADS = Resource(
    path="leads",
    entity="lead",
    model=Lead,
    called=FULL_NAME,
    author="owner",
    presets=(ASSIGNED_TO_ME,),
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("first_name", Text(100), REQUIRED | LISTED | SEARCHED),
        Field("last_name", Text(100), REQUIRED | LISTED | SEARCHED),
        FULL_NAME,
        Field("email", Email(), REQUIRED | LISTED | SEARCHED),
        Field("phone", Text(20), LISTED | SEARCHED),
        Field("company_name", Text(200), LISTED | SEARCHED),
        Field("job_title", Text(100)),
        Field("lead_source", Choice(LeadSource), LISTED),
        Field("status", Choice(LeadStatus), LISTED),
        Field("priority", Choice(Priority), LISTED),
        Reference("assigned_to", USERS, NULL | LISTED | NAMED),
        Reference("owner", USERS, READ_ONLY | NAMED),
        Field("lead_score", Integer(0, 100), LISTED),
        Field("estimated_value", Decimal(12, 2), NULL | LISTED),
        Field("probability", Integer(0, 100)),
        Field("last_contact_date", Moment(), NULL),
        Field("next_follow_up", Moment(), NULL),
        Field("notes", Text()),
        Field("tags", Tags()),
        Custom(),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
        Field("converted_at", Moment(), READ_ONLY | NULL),
    ),
)
