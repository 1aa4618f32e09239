"""Numbers for kinds of records, which the original API used in place of names. They are fixed: clients keep them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

from hub.openapi.operation import Operation, documented
from hub.openapi.shapes import fields, many
from hub.responses import respond
from models.resources.kinds import Choice, Integer, Schema
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
}


@dataclass(frozen=True)
class ContentType:
    """The number of a kind of record, as the kind of value of a filter; inside it is the name."""

    def read(self, value: object) -> str:
        for name, number in CONTENT_TYPES.items():
            if value == number and not isinstance(value, bool):
                return name
        raise Mistake(f"Must be one of {', '.join(f'{number} ({name})' for name, number in CONTENT_TYPES.items())}.")

    def read_text(self, text: str) -> str:
        return self.read(Integer().read_text(text))

    def schema(self, *, given: bool) -> Schema:
        return {"type": "integer", "enum": list(CONTENT_TYPES.values())}


@documented(Operation(answers={200: many(fields(id=Integer(1), model=Choice(Entity)))}))
async def index(_request: web.Request) -> web.Response:
    """Every number with the name it stands for."""
    return respond([{"id": number, "model": name} for name, number in CONTENT_TYPES.items()])
