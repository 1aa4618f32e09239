"""One custom field: what its values may be, who sees it, who sets it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from models.access import Role
from models.custom_fields import FieldType
from models.resources.content_types import CUSTOMISED
from models.resources.custom.patterns import matches
from models.resources.custom.types import FORMS, Form
from models.resources.mistakes import Mistake

REQUIRED = "This field is required."


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A custom field. It is a kind of value (`models/resources/kinds.py`): what it reads is what is stored."""

    id: int
    name: str
    label: str
    type: FieldType
    #: The kind of record that has it.
    entity: str
    required: bool = False
    min_length: int | None = None
    max_length: int | None = None
    min_value: Decimal | None = None
    max_value: Decimal | None = None
    #: An RE2 pattern for the whole value; empty is none.
    pattern: str = ""
    pattern_message: str = ""
    #: Label by value.
    options: Mapping[str, str]
    #: Text; empty is none.
    default_text: str = ""
    active: bool = True
    visible: bool = True
    public: bool = True
    searchable: bool = False
    filterable: bool = False
    visible_to: frozenset[str] = frozenset()
    editable_by: frozenset[str] = frozenset()
    #: Names of the indexes it has that are ready.
    indexes: frozenset[str] = frozenset()

    @staticmethod
    def of(row: Mapping[str, Any]) -> Definition:
        """The definition in a row of `crm_custom_fields`."""
        return Definition(
            id=row["id"],
            name=row["name"],
            label=row["label"],
            type=FieldType(row["field_type"]),
            entity=CUSTOMISED[row["content_type"]],
            required=row["is_required"],
            min_length=row["min_length"],
            max_length=row["max_length"],
            min_value=None if row["min_value"] is None else Decimal(row["min_value"]),
            max_value=None if row["max_value"] is None else Decimal(row["max_value"]),
            pattern=row["regex_pattern"],
            pattern_message=row["regex_error_message"],
            options={option["value"]: option["label"] for option in row["options"]},
            default_text=row["default_value"],
            active=row["is_active"],
            visible=row["is_visible"],
            public=row["is_public"],
            searchable=row["is_searchable"],
            filterable=row["is_filterable"],
            visible_to=frozenset(row["visible_to_roles"]),
            editable_by=frozenset(row["editable_by_roles"]),
            indexes=frozenset(row.get("indexes", ())),
        )

    @property
    def form(self) -> Form:
        """What values of its type are."""
        return FORMS[self.type]

    def seen_by(self, role: Role) -> bool:
        """Whether it is there for this role. An admin sees all."""
        return role is Role.ADMIN or (
            self.visible and (role in self.visible_to or (self.public and not self.visible_to))
        )

    def set_by(self, role: Role) -> bool:
        """Whether this role may set it. An admin may."""
        return role is Role.ADMIN or (self.seen_by(role) and (not self.editable_by or role in self.editable_by))

    @cached_property
    def default(self) -> Any:
        """What a new record has unless it says something else; None for nothing."""
        return None if self.default_text == "" else self.read_text(self.default_text)

    def read(self, value: object) -> Any:
        """What to store for a JSON value, None for no value: null, empty text, an empty list. Raises Mistake."""
        if value is None or value in ("", []):
            return self._blank()
        return self._judged(self.form.kind.read(_normal(value)))

    def read_text(self, text: str) -> Any:
        """The same for text, as in a CSV file; several options stand with commas between. Raises Mistake."""
        return self._judged(self.form.kind.read_text(_normal(text))) if text.strip() else self._blank()

    def write_text(self, stored: object) -> str:
        """A stored value as `read_text` takes it."""
        match stored:
            case None:
                return ""
            case bool():
                return "true" if stored else "false"
            case list():
                return ",".join(map(str, stored))
            case _:
                return str(stored)

    def display(self, stored: object) -> str:
        """A stored value as a person reads it: labels for options, words for true and false."""
        match stored:
            case bool():
                return "Yes" if stored else "No"
            case list():
                return ", ".join(self.options.get(str(one), str(one)) for one in stored)
            case str():
                return self.options.get(stored, stored)
            case _:
                return self.write_text(stored)

    def _blank(self) -> None:
        if self.required:
            raise Mistake(REQUIRED)

    def _judged(self, value: Any) -> Any:
        if value in ("", []):  # only spaces
            return self._blank()
        if self.options:
            self._among(value if self.form.several else [value])
        elif isinstance(value, str):
            self._fitting(value)
        elif isinstance(value, int | Decimal) and not isinstance(value, bool):
            self._within(value)
        return self.form.store(value)

    def _among(self, values: list[str]) -> None:
        if strange := [value for value in values if value not in self.options]:
            named = f"{', '.join(strange)}: must" if self.form.several else "Must"
            raise Mistake(f"{named} be one of {', '.join(self.options)}.")

    def _fitting(self, text: str) -> None:
        if self.min_length is not None and len(text) < self.min_length:
            raise Mistake(f"At least {self.min_length} characters are needed, this has {len(text)}.")
        if self.max_length is not None and len(text) > self.max_length:
            raise Mistake(f"At most {self.max_length} characters are kept, this has {len(text)}.")
        if self.pattern and not matches(self.pattern, text):
            raise Mistake(self.pattern_message or f"Must match the pattern {self.pattern}.")

    def _within(self, number: int | Decimal) -> None:
        if self.min_value is not None and number < self.min_value:
            raise Mistake(f"Must be at least {self.min_value}.")
        if self.max_value is not None and number > self.max_value:
            raise Mistake(f"Must be at most {self.max_value}.")


def _normal(value: Any) -> Any:
    """A value with its text in NFC, so that what looks the same is the same."""
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [_normal(one) if isinstance(one, str) else one for one in value]
        case _:
            return value
