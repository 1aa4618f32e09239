"""Rows of a file as records of a resource: each row's cells in, values to store or what is wrong with them out.

Every value goes through the kind of its field, as one in a request does. What depends on other rows or on the database
(references, duplicates, whether a record is there already) is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from models.imports import cells
from models.imports.detection import Form
from models.imports.mapping import Rule
from models.resources.kinds import SERIAL, Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import NULL, REQUIRED, Field, Reference, Resource

#: Texts of one field whose values are remembered.
_REMEMBERED = 10_000

#: Where what is wrong with a row as a whole stands.
ROW = "row"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a user chose for an import."""

    #: Records that are there are changed; otherwise every row is a new one.
    update_existing: bool = False
    #: Good rows are kept whatever becomes of the others.
    skip_errors: bool = True
    #: The field by which rows, and records that are there, are the same; empty means none.
    key: str = ""
    #: Whether the first or the last row of those with the same key counts.
    duplicates: str = "last"
    #: Whether a blank cell empties the field of a record that is there.
    clear_blanks: bool = False


@dataclass(slots=True)
class Row:
    """One row, as far as it can be judged alone."""

    #: Its number in a spreadsheet.
    number: int
    cells: list[str]
    #: Values to store by column; references as the text that names the record.
    values: dict[str, Any] = field(default_factory=dict)
    #: Numbers to be added up over rows with the same key, by field.
    sums: dict[str, Decimal] = field(default_factory=dict)
    #: What rows of the same record have in common.
    key: str | None = None
    #: What is wrong, by field.
    errors: dict[str, str] = field(default_factory=dict)


@dataclass
class Column:
    """One mapped field: its rule, and the values of texts it has seen."""

    of: Field | Reference
    rule: Rule
    form: Form
    clear: bool
    _known: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def value(self, row: Sequence[str]) -> tuple[Any, str]:
        """(value or None for one that is not given, what is wrong or nothing)."""
        text = self.rule.text(row)
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[text] = self._read(text)
        return found

    def _read(self, text: str) -> tuple[Any, str]:
        try:
            if "\x00" in text:
                raise Mistake("Null characters are not allowed.")
            if text == "":
                return (self._blank(), "")
            if isinstance(self.of, Reference):
                return text, ""
            if self.rule.places is not None:
                text = str(rounded(cells.amount(text, self.form), self.rule.places))
            return judged(self.of, cells.read(self.of.kind, text, self.form)), ""
        except Mistake as mistake:
            return None, str(mistake)

    def _blank(self) -> Any:
        """What a blank cell stores: usually nothing is said by it."""
        if not self.clear:
            return None
        if NULL in self.of.use:
            return CLEARED
        try:
            return self.of.read(None)
        except Mistake:
            if REQUIRED in self.of.use:
                raise
            return None


#: The value of a field that is emptied to null.
CLEARED = object()


def judged(field: Field, value: Any) -> Any:
    """A value that may not be blank if the field is required. Raises Mistake."""
    if value == "" and REQUIRED in field.use:
        return field.read("")
    return value


def rounded(number: Decimal, places: int | None) -> Decimal:
    """The number with so many decimals, half to even."""
    return number if places is None else number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)


class Table:
    """A file's rows as records of a resource, under a mapping. Raises Invalid for one that cannot be."""

    def __init__(
        self, resource: Resource, columns: Sequence[str], rules: Mapping[str, Rule], form: Form, choices: Choices
    ) -> None:
        self.resource, self.choices, self.form = resource, choices, form
        self._width = len(columns)
        self._escaped = form.format == "csv"
        self._constants = self._constant_values(rules)
        self._sums = {name: rule for name, rule in rules.items() if rule.sum}
        self._id = rules.get("id")
        self._columns = {
            name: Column(resource.writable[name], rule, form, choices.clear_blanks)
            for name, rule in rules.items()
            if not rule.constant and not rule.sum and name != "id"
        }
        self._check(rules)

    @property
    def references(self) -> list[Reference]:
        """The references it fills."""
        return [field for field in self._filled() if isinstance(field, Reference)]

    @property
    def stored(self) -> list[str]:
        """The columns of the resource it fills."""
        return [field.column for field in self._filled()]

    @property
    def sums(self) -> Mapping[str, Rule]:
        """The rules of fields that are added up."""
        return self._sums

    def rows(self, records: Iterable[tuple[int, list[str]]]) -> list[Row]:
        """Rows for numbered records; those without any text are left out."""
        return [self._row(number, record) for number, record in records if any(cell.strip() for cell in record)]

    def _filled(self) -> Iterable[Field | Reference]:
        return [self.resource.writable[n] for n in (*self._columns, *self._constants, *self._sums)]

    def _row(self, number: int, record: list[str]) -> Row:
        original = record
        if self._escaped:
            record = [cells.plain(cell) if cell[:1] == "'" else cell for cell in record]
        row = Row(number, original)
        if len(record) > self._width and any(cell.strip() for cell in record[self._width :]):
            row.errors[ROW] = f"Has {len(record)} cells, but there are {self._width} columns."
        for name, column in self._columns.items():
            value, wrong = column.value(record)
            if wrong:
                row.errors[name] = wrong
            elif value is not None:
                row.values[column.of.column] = None if value is CLEARED else value
        for name, value in self._constants.items():
            row.values[self.resource.writable[name].column] = value
        for name, rule in self._sums.items():
            try:
                row.sums[name] = cells.amount(rule.text(record), self.form)
            except Mistake as mistake:
                row.errors[name] = str(mistake)
        self._identify(row, record)
        return row

    def _identify(self, row: Row, record: Sequence[str]) -> None:
        """Work out which record the row is about."""
        key = self.choices.key
        if key == "id" and self._id is not None:
            try:
                text = self._id.text(record)
                row.key = str(cells.read(SERIAL, text, self.form)) if text else None
            except Mistake as mistake:
                row.errors["id"] = str(mistake)
        elif key:
            value = row.values.get(self.resource.writable[key].column)
            row.key = None if value is None else folded(str(value))

    def _constant_values(self, rules: Mapping[str, Rule]) -> dict[str, Any]:
        values, wrong = {}, {}
        for name, rule in rules.items():
            if rule.constant and name != "id":
                one = self.resource.writable[name]
                try:
                    # A reference may be named by something else than its id, which is looked up later.
                    named = isinstance(one, Reference) and isinstance(rule.value, str) and rule.value.strip()
                    values[name] = named or one.read(rule.value)
                except Mistake as mistake:
                    wrong[f"mapping.{name}"] = [str(mistake)]
        if wrong:
            raise Invalid(wrong)
        return values

    def _check(self, rules: Mapping[str, Rule]) -> None:
        """Raise Invalid for choices and rules that do not go together."""
        key = self.choices.key
        wrong: dict[str, list[str]] = {}
        if key and key not in rules:
            wrong["key"] = [f"{key} is not mapped."]
        elif key and key != "id" and not isinstance(self.resource.writable[key].kind, Text):
            wrong["key"] = ["A key is the id or a field of text."]
        if "id" in rules and key != "id":
            wrong["mapping.id"] = ["Only tells which record is changed: set update_existing, and id as the key."]
        if key == "id" and not self.choices.update_existing:
            wrong["update_existing"] = ["Must be true where rows name records by id."]
        if self._sums and not key:
            wrong["key"] = ["A sum needs a key: it is over the rows that have the same one."]
        for name in self._sums:
            if not hasattr(self.resource.writable[name].kind, "places"):
                wrong[f"mapping.{name}"] = ["Only amounts can be added up."]
        if not self.choices.update_existing:
            # Without an update every record is new.
            missing = [name for name in self.resource.used(REQUIRED) if name not in rules]
            wrong |= {f"mapping.{name}": ["This field is required."] for name in missing}
        if wrong:
            raise Invalid(wrong)


def folded(text: str) -> str:
    """A key in the form in which two are the same: addresses and names do not differ by case."""
    return text.lower()


def default_key(resource: Resource, mapped: Iterable[str], *, update_existing: bool) -> str:
    """The key an import has unless another is chosen.

    By id where rows name one; by e-mail where there is one and records are updated, or no two may have the same.
    """
    mapped = set(mapped)
    if "id" in mapped and update_existing:
        return "id"
    email = resource.model._meta.fields_map.get("email")
    if email is not None and "email" in mapped and (update_existing or email.unique):
        return "email"
    return ""
