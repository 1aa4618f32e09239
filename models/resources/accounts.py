"""Users as those see them who administer them, and as they see themselves: /api/auth/users/."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from models.access import Role
from models.resources.kinds import SERIAL, Choice, Email, Flag, Kind, Moment, Object, Schema, Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import (
    LISTED,
    NULL,
    READ_ONLY,
    REQUIRED,
    Computed,
    Dependent,
    Field,
    Resource,
)
from models.resources.users import FULL_NAME
from models.tasks import Task
from models.users import User


@dataclass(frozen=True)
class Username(Text):
    """What one signs in by: letters, digits and @ . + - _."""

    longest: int | None = 150

    def read_text(self, text: str) -> str:
        text = super().read_text(text)
        if text and not re.fullmatch(r"[\w.@+-]+", text):
            raise Mistake("Letters, digits and @ . + - _ only.")
        return text

    def schema(self, *, given: bool) -> Schema:
        return (
            super().schema(given=given) | {"pattern": r"^[A-Za-z0-9_.@+-]*$"} if given else super().schema(given=given)
        )


@dataclass(frozen=True)
class Timezone(Text):
    """A time zone, such as Europe/Oslo."""

    longest: int | None = 50

    def read_text(self, text: str) -> str:
        text = super().read_text(text)
        if text not in _timezones():
            raise Mistake("Must be a time zone such as Europe/Oslo, or UTC.")
        return text


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


@dataclass(frozen=True)
class Language(Text):
    """A language tag, such as en or pt-BR."""

    longest: int | None = 10

    def read_text(self, text: str) -> str:
        text = super().read_text(text)
        if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})?", text):
            raise Mistake("Must be a language such as en or pt-BR.")
        return text

    def schema(self, *, given: bool) -> Schema:
        return {"type": "string", "pattern": "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,6})?$"}


#: What users set for themselves, by the column of their profile.
PROFILE: Mapping[str, Kind] = {
    "bio": Text(10_000),
    "timezone": Timezone(),
    "language": Language(),
    "notification_preferences": Object(),
    "dashboard_preferences": Object(),
}


@dataclass(frozen=True)
class Profile:
    """What a user has set for themselves; null for who has no profile yet."""

    def read(self, value: object) -> dict[str, Any]:
        return read_profile(value)

    def read_text(self, text: str) -> dict[str, Any]:
        raise Mistake("Cannot be given as text.")

    def schema(self, *, given: bool) -> Schema:
        properties = {name: kind.schema(given=given) for name, kind in PROFILE.items()}
        shape = {"type": "object", "properties": properties, "additionalProperties": False}
        return shape if given else {**shape, "type": ["object", "null"], "required": list(PROFILE)}


def _profile(id: UUID | None, *values: Any) -> dict[str, Any] | None:
    """A profile as it is shown; None for who has none yet."""
    return None if id is None else dict(zip(PROFILE, values, strict=True))


def read_profile(value: object) -> dict[str, Any]:
    """What to store of a profile that was sent. Raises Invalid."""
    if not isinstance(value, Mapping):
        raise Invalid({"profile": ["Must be an object."]})
    wrong = {
        f"profile.{name}": [f"Unknown field. Fields are: {', '.join(PROFILE)}."]
        for name in value.keys() - PROFILE.keys()
    }
    given = {}
    for name, kind in PROFILE.items():
        if name in value:
            try:
                given[name] = kind.read(value[name])
            except Mistake as mistake:
                wrong[f"profile.{name}"] = [str(mistake)]
    if wrong:
        raise Invalid(wrong)
    return given


ACCOUNTS = Resource(
    path="users",
    entity="user",
    model=User,
    called=FULL_NAME,
    order="-date_joined",
    dependents=(Dependent("task", Task, "assigned_to_id"),),
    fields=(
        Field("id", SERIAL, READ_ONLY | LISTED),
        Field("username", Username(), REQUIRED | LISTED),
        Field("email", Email(), REQUIRED | LISTED),
        Field("first_name", Text(150), LISTED),
        Field("last_name", Text(150), LISTED),
        FULL_NAME,
        Field("role", Choice(Role), LISTED),
        Field("phone", Text(20), LISTED),
        Field("department", Text(100), LISTED),
        Field("is_active", Flag(), LISTED),
        Field("two_factor_enabled", Flag(), READ_ONLY | LISTED),
        Computed("profile", ("profile__id", *(f"profile__{name}" for name in PROFILE)), _profile, LISTED, Profile()),
        Field("last_login", Moment(), READ_ONLY | NULL | LISTED),
        Field("date_joined", Moment(), READ_ONLY | LISTED),
    ),
)
