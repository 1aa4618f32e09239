"""The types of custom fields: how a value of each is read, how it stands in the record's JSON, which rules it can have.

Stored values are plain JSON: text in NFC, a `number` a whole number of 64 bits, a `decimal` text with two places
("1200.00"), so that no reader makes a float of it, dates and times text (UTC, with Z), several options a list, a file
the id of an upload. No value is stored as null: a record without one has no such key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Flag, auto
from typing import Any
from uuid import UUID

from models.custom_fields import FieldType
from models.resources.kinds import Day, Decimal, Email, Integer, Kind, Moment, Schema, Tags, Text, Url
from models.resources.kinds import Flag as TrueOrFalse
from models.resources.mistakes import Mistake

#: Characters of a text and of a longer one.
LONGEST, LONGEST_AREA = 1_000, 100_000

#: Options that one value may have.
MOST_CHOSEN = 1_000


#: In a schema: a telephone number, or nothing.
TELEPHONE = r"^(\+?[0-9 ()./-]*([0-9][ ()./-]*){3}((x|ext\.?) ?[0-9]{1,8})?)?$"


class Rule(Flag):
    """What a type's values can be held to."""

    LENGTH = auto()
    PATTERN = auto()
    BOUNDS = auto()
    OPTIONS = auto()


NO_RULE = Rule(0)


@dataclass(frozen=True)
class Phone(Text):
    """A telephone number, written as people do."""

    longest: int | None = 50

    def read_text(self, text: str) -> str:
        text = super().read_text(text)
        written = re.fullmatch(r"\+?[0-9 ()./-]+(?:(?:x|ext\.?) ?[0-9]{1,8})?", text)
        if text and (written is None or len(re.findall("[0-9]", text)) < 3):
            raise Mistake("Enter a valid telephone number, such as +49 30 1234567.")
        return text

    def schema(self, *, given: bool) -> Schema:
        return super().schema(given=given) | ({"pattern": TELEPHONE} if given else {})


@dataclass(frozen=True)
class Upload:
    """A file that was uploaded, by its id or by an object that has it."""

    def read(self, value: object) -> str:
        if isinstance(value, dict):
            value = value.get("id")
        if not isinstance(value, str):
            raise Mistake("Must be the id of an uploaded file.")
        return self.read_text(value)

    def read_text(self, text: str) -> str:
        try:
            return str(UUID(text.strip()))
        except ValueError:
            raise Mistake("Must be the id of an uploaded file.") from None

    def schema(self, *, given: bool) -> Schema:
        id: Schema = {"type": "string", "format": "uuid"}
        held: Schema = {"type": "object", "properties": {"id": id}, "required": ["id"]}
        return {"anyOf": [id, held]} if given else id


def _same(value: Any) -> Any:
    return value


def _moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True)
class Form:
    """What values of a type are."""

    #: Reads a value, before the field's rules.
    kind: Kind
    #: Makes JSON of it.
    store: Callable[[Any], Any] = _same
    rules: Rule = NO_RULE
    #: Most characters.
    longest: int | None = None
    #: Where the original API shows it in a custom field value.
    column: str = "value_text"

    @property
    def several(self) -> bool:
        """Whether a value is a list of options."""
        return isinstance(self.kind, Tags)


_WRITTEN = Rule.LENGTH | Rule.PATTERN

FORMS: Mapping[FieldType, Form] = {
    FieldType.TEXT: Form(kind=Text(LONGEST), rules=_WRITTEN, longest=LONGEST),
    FieldType.TEXTAREA: Form(kind=Text(LONGEST_AREA), rules=_WRITTEN, longest=LONGEST_AREA),
    FieldType.NUMBER: Form(kind=Integer(-(2**63), 2**63 - 1), rules=Rule.BOUNDS, column="value_number"),
    FieldType.DECIMAL: Form(kind=Decimal(20, 2), store=str, rules=Rule.BOUNDS, column="value_number"),
    FieldType.BOOLEAN: Form(kind=TrueOrFalse(), column="value_boolean"),
    FieldType.DATE: Form(kind=Day(), store=date.isoformat, column="value_date"),
    FieldType.DATETIME: Form(kind=Moment(), store=_moment, column="value_datetime"),
    FieldType.EMAIL: Form(kind=Email(), rules=_WRITTEN, longest=254),
    FieldType.URL: Form(kind=Url(LONGEST), rules=_WRITTEN, longest=LONGEST),
    FieldType.PHONE: Form(kind=Phone(), rules=_WRITTEN, longest=50),
    FieldType.SELECT: Form(kind=Text(LONGEST), rules=Rule.OPTIONS),
    FieldType.RADIO: Form(kind=Text(LONGEST), rules=Rule.OPTIONS),
    FieldType.MULTISELECT: Form(kind=Tags(LONGEST, MOST_CHOSEN), rules=Rule.OPTIONS, column="value_json"),
    FieldType.CHECKBOX: Form(kind=Tags(LONGEST, MOST_CHOSEN), rules=Rule.OPTIONS, column="value_json"),
    FieldType.FILE: Form(kind=Upload(), column="value_json"),
}
