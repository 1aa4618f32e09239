"""What a handler takes in a body, declared once: the fields by which it is read are those that describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.openapi.resources import given
from hub.openapi.shapes import Maybe, fields
from hub.requests import only
from models.resources.kinds import Schema
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import MISSING, REQUIRED, Field


class Body:
    """A JSON object with these fields and no others."""

    def __init__(self, *declared: Field) -> None:
        self.fields = declared

    def read(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the fields that were sent. Raises Invalid for everything that is wrong at once."""
        only(body, tuple(field.name for field in self.fields))
        wrong, values = {}, {}
        for field in self.fields:
            try:
                if field.name in body:
                    values[field.name] = field.read(body[field.name])
                elif REQUIRED in field.use:
                    raise Mistake(MISSING)
            except Mistake as mistake:
                wrong[field.name] = [str(mistake)]
        if wrong:
            raise Invalid(wrong)
        return values

    @property
    def shape(self) -> Schema:
        """The same in JSON Schema."""
        return fields({one.name: given(one) if REQUIRED in one.use else Maybe(given(one)) for one in self.fields})


@dataclass(frozen=True)
class Anything:
    """Any JSON value."""

    def read(self, value: object) -> Any:
        return value

    def read_text(self, text: str) -> Any:
        return text

    def schema(self, *, given: bool) -> Schema:
        return {}


@dataclass(frozen=True)
class Printable:
    """1 to so many printable characters, as they are."""

    longest: int
    #: Whether of ASCII only, and without spaces.
    plain: bool = False

    def read(self, value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= self.longest or not self._fits(value):
            kind = "printable ASCII characters without spaces" if self.plain else "printable characters"
            raise Mistake(f"Must be 1 to {self.longest} {kind}.")
        return value

    def read_text(self, text: str) -> str:
        return self.read(text)

    def schema(self, *, given: bool) -> Schema:
        fitting = {"pattern": "^[!-~]+$"} if self.plain else {}
        return {"type": "string", "minLength": 1, "maxLength": self.longest, **fitting}

    def _fits(self, text: str) -> bool:
        return text.isprintable() and (not self.plain or (text.isascii() and " " not in text))
