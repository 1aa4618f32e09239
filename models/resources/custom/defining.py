"""What a custom field may be defined as: its columns must make sense together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.access import Role
from models.custom_fields import FieldType
from models.resources.custom.definition import Definition
from models.resources.custom.patterns import compiled
from models.resources.custom.types import FORMS, LONGEST, Form, Rule
from models.resources.kinds import STORABLE, Schema, Tags, Text
from models.resources.mistakes import Invalid, Mistake

MOST_OPTIONS = 1_000

#: Columns that only types with this rule can have, and what they are when they say nothing.
RULES: Mapping[str, tuple[Rule, object]] = {
    "min_length": (Rule.LENGTH, None),
    "max_length": (Rule.LENGTH, None),
    "min_value": (Rule.BOUNDS, None),
    "max_value": (Rule.BOUNDS, None),
    "regex_pattern": (Rule.PATTERN, ""),
    "options": (Rule.OPTIONS, []),
}


#: In a schema: what can name a field.
IDENTIFIER = r"^[a-z](_?[a-z0-9]){0,99}$"
#: An option's value and label as they are given.
OPTION: Schema = {"type": "string", "maxLength": LONGEST, "pattern": r"^[^\x00,]*[^\x00,\s\x1c-\x1f\x85][^\x00,]*$"}
LABEL: Schema = {"type": "string", "maxLength": LONGEST, "pattern": STORABLE}


@dataclass(frozen=True)
class Name(Text):
    """What a field is called in JSON, queries and files: an identifier."""

    longest: int | None = 100

    def read(self, value: object) -> str:
        # Two underscores stand between a field and a lookup in filters.
        if not isinstance(value, str) or not re.fullmatch(r"[a-z](?:_?[a-z0-9]){0,99}", value) or len(value) > 100:
            raise Mistake(
                "Must be an identifier of at most 100 characters: lower-case letters, digits and single underscores, "
                "a letter first."
            )
        return value

    def read_text(self, text: str) -> str:
        return self.read(text)

    def schema(self, *, given: bool) -> Schema:
        return {"type": "string", "maxLength": 100, "pattern": IDENTIFIER}


@dataclass(frozen=True)
class Options:
    """The options of a choice: objects with value and label, or texts that are both."""

    def read(self, value: object) -> list[dict[str, str]]:
        if not isinstance(value, list):
            raise Mistake("Must be a list of options, each an object with value and label.")
        if len(value) > MOST_OPTIONS:
            raise Mistake(f"At most {MOST_OPTIONS} options are kept.")
        options = [self._option(one) for one in value]
        values = [option["value"] for option in options]
        if twice := {one for one in values if values.count(one) > 1}:
            raise Mistake(f"Each value must be there once: {', '.join(sorted(twice))}.")
        return options

    def read_text(self, text: str) -> list[dict[str, str]]:
        return self.read(text.split(","))

    def schema(self, *, given: bool) -> Schema:
        option: Schema = {
            "type": "object",
            "properties": {"value": OPTION, "label": LABEL},
            "required": ["value"] if given else ["value", "label"],
            "additionalProperties": False,
        }
        return {"type": "array", "maxItems": MOST_OPTIONS, "items": {"anyOf": [OPTION, option]} if given else option}

    def _option(self, given: object) -> dict[str, str]:
        option = {"value": given, "label": given} if isinstance(given, str) else given
        if not isinstance(option, dict) or not option.keys() <= {"value", "label"}:
            raise Mistake("Each option must be an object with value and label.")
        value, label = option.get("value"), option.get("label", option.get("value"))
        if not isinstance(value, str) or not isinstance(label, str):
            raise Mistake("Value and label of an option must be text.")
        value, label = (unicodedata.normalize("NFC", text).strip() for text in (value, label))
        if not value or "," in value or "\x00" in value + label or max(len(value), len(label)) > LONGEST:
            raise Mistake(f"An option's value must be text of at most {LONGEST} characters without a comma.")
        return {"value": value, "label": label or value}


@dataclass(frozen=True)
class Roles(Tags):
    """A list of roles, each once."""

    def read(self, value: object) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(one, str) and one in list(Role) for one in value):
            raise Mistake(f"Must be a list of roles, of {', '.join(Role)}.")
        return list(dict.fromkeys(value))

    def read_text(self, text: str) -> list[str]:
        return self.read(text.split(","))

    def schema(self, *, given: bool) -> Schema:
        return {"type": "array", "items": {"type": "string", "enum": list(map(str, Role))}}


def consistent(row: Mapping[str, Any]) -> Definition:
    """The definition in a row whose columns are valid each by itself. Raises Invalid if they do not go together."""
    type = FieldType(row["field_type"])
    form = FORMS[type]
    wrong = _strange(row, type, form) | _crossed(row, form)
    if not wrong:
        try:
            if row["regex_pattern"]:
                compiled(row["regex_pattern"])
        except Mistake as mistake:
            wrong["regex_pattern"] = [str(mistake)]
    if wrong:
        raise Invalid(wrong)
    field = Definition.of(row)
    if field.searchable and not all(field.seen_by(role) for role in Role):
        raise Invalid({"is_searchable": ["Only a field that every role sees can be searched."]})
    try:
        if type is FieldType.FILE and field.default_text:
            raise Mistake("A file has no default.")
        _ = field.default
    except Mistake as mistake:
        raise Invalid({"default_value": [str(mistake)]}) from None
    return field


def _strange(row: Mapping[str, Any], type: FieldType, form: Form) -> dict[str, list[str]]:
    """Rules that the type does not have, or lacks."""
    wrong = {
        name: [f"A {type} field has no {name}."]
        for name, (rule, nothing) in RULES.items()
        if row[name] != nothing and rule not in form.rules
    }
    if Rule.OPTIONS in form.rules and not row["options"]:
        wrong["options"] = [f"A {type} field needs options."]
    if row["is_searchable"] and type in (FieldType.BOOLEAN, FieldType.FILE):
        wrong["is_searchable"] = [f"There are no words in a {type} field."]
    if row["is_filterable"] and type in (FieldType.TEXTAREA, FieldType.FILE):
        wrong["is_filterable"] = [f"Lists cannot be filtered by a {type} field."]
    return wrong


def _crossed(row: Mapping[str, Any], form: Form) -> dict[str, list[str]]:
    """Bounds that nothing can lie within."""
    wrong: dict[str, list[str]] = {}
    for name in ("min_length", "max_length"):
        if row[name] is not None and form.longest is not None and not 0 <= row[name] <= form.longest:
            wrong[name] = [f"Must be from 0 to {form.longest}."]
    for low, high in (("min_length", "max_length"), ("min_value", "max_value")):
        if row[low] is not None and row[high] is not None and row[low] > row[high]:
            wrong[high] = [f"Must not be below {low}."]
    return wrong
