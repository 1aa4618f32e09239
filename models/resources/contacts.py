"""Contacts under /api/v1/contacts/."""

from __future__ import annotations

from models.contacts import Contact, ContactType, Salutation
from models.opportunities import Opportunity
from models.resources.kinds import SERIAL, Choice, Email, Moment, Tags, Text, Url
from models.resources.resource import (
    LISTED,
    NAMED,
    NULL,
    READ_ONLY,
    REQUIRED,
    SEARCHED,
    Computed,
    Custom,
    Dependent,
    Field,
    Reference,
    Resource,
)
from models.resources.users import USERS

FULL_NAME = Computed("full_name", ("first_name", "last_name"), "{} {}".format, LISTED)

CONTACTS = Resource(
    path="contacts",
    entity="contact",
    model=Contact,
    called=FULL_NAME,
    author="created_by",
    dependents=(Dependent("opportunity", Opportunity, "contact_id"),),
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("salutation", Choice(Salutation), LISTED),
        Field("first_name", Text(100), REQUIRED | LISTED | SEARCHED),
        Field("last_name", Text(100), REQUIRED | LISTED | SEARCHED),
        FULL_NAME,
        Field("email", Email(), REQUIRED | LISTED | SEARCHED),
        Field("phone", Text(20), LISTED | SEARCHED),
        Field("mobile", Text(20), LISTED | SEARCHED),
        Field("company_name", Text(200), LISTED | SEARCHED),
        Field("job_title", Text(100), LISTED),
        Field("department", Text(100)),
        Field("address_line_1", Text(200)),
        Field("address_line_2", Text(200)),
        Field("city", Text(100)),
        Field("state", Text(100)),
        Field("postal_code", Text(20)),
        Field("country", Text(100)),
        Field("contact_type", Choice(ContactType), LISTED),
        Field("source", Text(100)),
        Field("status", Text(50), LISTED),
        Reference("assigned_to", USERS, NULL | LISTED | NAMED),
        Field("website", Url(200)),
        Field("linkedin", Url(200)),
        Field("twitter", Text(100)),
        Field("notes", Text()),
        Field("tags", Tags()),
        Custom(),
        Reference("created_by", USERS, READ_ONLY),
        Field("created_at", Moment(), READ_ONLY | LISTED),
        Field("updated_at", Moment(), READ_ONLY | LISTED),
    ),
)
