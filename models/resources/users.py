"""Users as other records show them."""

from __future__ import annotations

from models.resources.kinds import SERIAL, Email, Text
from models.resources.resource import LISTED, READ_ONLY, Computed, Field, Resource
from models.users import User


def full_name(first_name: str, last_name: str, username: str) -> str:
    """First and last name, or the username where there is neither."""
    return f"{first_name} {last_name}".strip() or username


FULL_NAME = Computed("full_name", ("first_name", "last_name", "username"), full_name, LISTED)

USERS = Resource(
    path="users",
    entity="user",
    model=User,
    called=FULL_NAME,
    shared=True,
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("username", Text(150), READ_ONLY | LISTED),
        Field("email", Email(), READ_ONLY | LISTED),
        FULL_NAME,
    ),
)
