"""What to say when the database does not accept a record's values."""

from __future__ import annotations

import re

import asyncpg
from tortoise.exceptions import IntegrityError

from models.resources.mistakes import NON_FIELD, Invalid
from models.resources.resource import Resource


def conflict(resource: Resource, error: IntegrityError) -> Invalid:
    """A value that another record has, or that refers to one just gone, by its field."""
    cause = error.args[0] if error.args else None
    column = re.search(r"(\w+)\)=", getattr(cause, "detail", None) or "")
    for name, field in resource.writable.items():
        if column and field.column == column[1]:
            taken = isinstance(cause, asyncpg.UniqueViolationError)
            said = (
                f"A {resource.entity.replace('_', ' ')} with this {name} already exists."
                if taken
                else "No such record."
            )
            return Invalid({name: [said]})
    return Invalid({NON_FIELD: ["The database does not accept these values together."]})
