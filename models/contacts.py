"""Contacts: the people we deal with."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tortoise import fields
from tortoise.models import Model

from models import columns
from models.users import User


class Salutation(StrEnum):
    """How to address a contact; empty when unknown."""

    NONE = ""
    MR = "mr"
    MRS = "mrs"
    MS = "ms"
    DR = "dr"
    PROF = "prof"


class ContactType(StrEnum):
    """What a contact is to us."""

    CUSTOMER = "customer"
    PROSPECT = "prospect"
    VENDOR = "vendor"
    PARTNER = "partner"


class Contact(Model):
    """One contact, known by an e-mail address nobody else has."""

    id = fields.BigIntField(primary_key=True)
    salutation: Salutation = columns.choice(Salutation, Salutation.NONE, length=10)
    first_name = fields.CharField(max_length=100)
    last_name = fields.CharField(max_length=100)
    email = fields.CharField(max_length=254, unique=True)
    phone: str = columns.text(20)
    mobile: str = columns.text(20)
    company_name: str = columns.text(200)
    job_title: str = columns.text(100)
    department: str = columns.text(100)
    address_line_1: str = columns.text(200)
    address_line_2: str = columns.text(200)
    city: str = columns.text(100)
    state: str = columns.text(100)
    postal_code: str = columns.text(20)
    country: str = columns.text(100)
    contact_type: ContactType = columns.choice(ContactType, ContactType.PROSPECT)
    source: str = columns.text(100)
    status = fields.CharField(max_length=50, default="active", db_default="active")
    assigned_to: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="assigned_contacts", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    website: str = columns.text(200)
    linkedin: str = columns.text(200)
    twitter: str = columns.text(100)
    notes: str = columns.prose()
    tags: Any = columns.items()
    custom_fields: Any = columns.mapping()
    created_by: fields.ForeignKeyNullableRelation[User] = fields.ForeignKeyField(
        "models.User", related_name="created_contacts", null=True, on_delete=fields.SET_NULL, db_index=True
    )
    created_at: Any = columns.created()
    updated_at: Any = columns.updated()

    @property
    def full_name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"

    class Meta:
        table = "crm_contacts"
        constraints = (
            columns.one_of("crm_contacts", "salutation", Salutation),
            columns.one_of("crm_contacts", "contact_type", ContactType),
        )
