"""Numbers for kinds of records, which the original API used in place of names. They are fixed: clients keep them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.resources.kinds import Integer, Schema
from models.resources.mistakes import Mistake


class Entity(StrEnum):
    """A kind of record that has a history."""

    USER = "user"
    USER_PROFILE = "user_profile"
    LEAD = "lead"
    CONTACT = "contact"
    OPPORTUNITY = "opportunity"
    OPPORTUNITY_STAGE = "opportunity_stage"
    TASK = "task"
    ACTIVITY = "activity"
    FOLLOW = "follow"
    CUSTOM_FIELD = "custom_field"
    CUSTOM_FIELD_GROUP = "custom_field_group"
    CUSTOM_FIELD_MEMBERSHIP = "custom_field_membership"
    FILE = "file"


CONTENT_TYPES: dict[str, int] = {
    Entity.USER: 1,
    Entity.USER_PROFILE: 2,
    Entity.LEAD: 3,
    Entity.CONTACT: 4,
    Entity.OPPORTUNITY: 5,
    Entity.OPPORTUNITY_STAGE: 6,
    Entity.TASK: 7,
    Entity.ACTIVITY: 8,
    Entity.FOLLOW: 9,
    Entity.CUSTOM_FIELD: 10,
    Entity.CUSTOM_FIELD_GROUP: 11,
    Entity.CUSTOM_FIELD_MEMBERSHIP: 12,
    Entity.FILE: 13,
}


#: The kinds of records that can have custom fields, by number.
CUSTOMISED: dict[int, str] = {
    CONTENT_TYPES[name]: name.value for name in (Entity.LEAD, Entity.CONTACT, Entity.OPPORTUNITY, Entity.TASK)
}


@dataclass(frozen=True)
class ContentType:
    """A kind of record, by number or name, as the kind of value of a filter; inside it is the name."""

    def read(self, value: object) -> str:
        for name, number in CONTENT_TYPES.items():
            if value in (number, name) and not isinstance(value, bool):
                return name
        raise Mistake(f"Must be one of {', '.join(f'{number} ({name})' for name, number in CONTENT_TYPES.items())}.")

    def read_text(self, text: str) -> str:
        return self.read(Integer().read_text(text) if text.isdigit() else text)

    def schema(self, *, given: bool) -> Schema:
        return {"enum": [*CONTENT_TYPES.values(), *CONTENT_TYPES] if given else [*CONTENT_TYPES]}


@dataclass(frozen=True)
class Customised:
    """A kind of record that can have custom fields, by number or name; inside it is the number."""

    def read(self, value: object) -> int:
        for number, name in CUSTOMISED.items():
            if value in (number, name) and not isinstance(value, bool):
                return number
        raise Mistake(f"Must be one of {', '.join(f'{number} ({name})' for number, name in CUSTOMISED.items())}.")

    def read_text(self, text: str) -> int:
        return self.read(Integer().read_text(text) if text.isdigit() else text)

    def schema(self, *, given: bool) -> Schema:
        return {"enum": [*CUSTOMISED, *CUSTOMISED.values()] if given else [*CUSTOMISED]}
