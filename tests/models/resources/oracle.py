"""Lists as plain Python has them: what filters, search and ordering mean, evaluated over dictionaries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from models.access import Action, Viewer, may

Row = Mapping[str, Any]

#: What refers to what.
REFERENCES = {"contact": "contact", "assigned_to": "user", "owner": "user", "created_by": "user"}
CASED = {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "ς": "σ", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}  # noqa: RUF001


def fold(text: str) -> str:
    """Without case and accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not "\u0300" <= c <= "\u036f")
    return "".join(CASED.get(c, c) for c in plain.lower())


def split(text: str) -> list[str]:
    """The words in a text."""
    return [word for word in re.split(r"[\W_]+", fold(text)) if word]


@dataclass(frozen=True)
class World:
    """Every record by entity and id, and who looks."""

    records: Mapping[str, Mapping[int, Row]]
    viewer: Viewer

    def value(self, row: Row, path: Sequence[str]) -> Any:
        """What is at the end of a path; None where the viewer sees nothing."""
        if len(path) == 1:
            return row[f"{path[0]}_id"] if path[0] in REFERENCES else row[path[0]]
        entity = REFERENCES[path[0]]
        there = self.records[entity].get(row[f"{path[0]}_id"])
        if there is None or (entity != "user" and not may(self.viewer, Action.READ, entity, there)):
            return None
        return self.value(there, path[1:])

    def true(self, tree: Mapping[str, Any], row: Row) -> bool:
        """Whether a tree of conditions is true of a row."""
        return all(self._part(name, value, row) for name, value in tree.items())

    def _part(self, name: str, value: Any, row: Row) -> bool:
        if name == "not":
            return not self.true(value, row)
        if name in ("and", "or"):
            return (all if name == "and" else any)(self.true(one, row) for one in value)
        path = name.split("__")
        lookup = path.pop() if path[-1] in COMPARE or path[-1] in ("isnull", "ne") else ""
        found = self.value(row, path)
        if lookup == "isnull":
            return bool((found is None) is value)
        if lookup == "ne":
            return not self._part(name.removesuffix("__ne"), value, row)
        return found is not None and COMPARE[lookup](found, value)

    def matches(self, row: Row, search: str, called: Sequence[str], others: Sequence[str]) -> bool:
        """Whether every word of a search begins one of an opportunity."""
        words = [word for name in (*called, *others) for word in split(row[name])]
        contact = self.records["contact"].get(row["contact_id"])
        if contact is not None and may(self.viewer, Action.READ, "contact", contact):
            words += split(f"{contact['first_name']} {contact['last_name']}")
        return all(any(word.startswith(term) for word in words) for term in split(search))

    def ordered(self, rows: Sequence[Row], terms: Sequence[str]) -> list[Row]:
        """Rows in an order, nulls last, ids last of all."""
        result = sorted(rows, key=lambda row: row["id"], reverse=terms[0].startswith("-"))
        for term in reversed(terms):
            path = term.removeprefix("-").split("__")
            there = [row for row in result if self.value(row, path) is not None]
            missing = [row for row in result if self.value(row, path) is None]
            there.sort(key=lambda row: comparable(self.value(row, path)), reverse=term.startswith("-"))
            result = there + missing
        return result


def comparable(value: Any) -> Any:
    """By what a value orders."""
    return fold(value) if isinstance(value, str) else value


def _same(value: Any, given: Any) -> Any:
    """What was given, as the value's type."""
    match value:
        case bool() | str():
            return given
        case int():
            return int(given)
        case Decimal():
            return Decimal(given)
        case datetime():
            at = datetime.fromisoformat(given)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        case date():
            return date.fromisoformat(given)
    raise TypeError(value)


def _day(given: str) -> bool:
    return len(given) == 10


def _by(compare: Callable[[Any, Any], bool], *, end: bool) -> Callable[[Any, Any], bool]:
    """A comparison; with a day for a moment it is that of its end or its beginning."""

    def holds(value: Any, given: Any) -> bool:
        if isinstance(value, datetime) and _day(given):
            begin = datetime.fromisoformat(given).replace(tzinfo=UTC)
            return compare(value, begin + timedelta(days=1) - timedelta(microseconds=1) if end else begin)
        return compare(comparable(value), comparable(_same(value, given)))

    return holds


def _either(value: Any, given: Any) -> bool:
    return any(value == _same(value, one) for one in given)


LT = _by(lambda a, b: bool(a < b), end=False)
LTE = _by(lambda a, b: bool(a <= b), end=True)
GT = _by(lambda a, b: bool(a > b), end=True)
GTE = _by(lambda a, b: bool(a >= b), end=False)

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "": lambda value, given: bool(value == _same(value, given)),
    "in": _either,
    "lt": LT,
    "lte": LTE,
    "gt": GT,
    "gte": GTE,
    "range": lambda value, given: GTE(value, given[0]) and LTE(value, given[1]),
    "date": lambda value, given: bool(value.astimezone(UTC).date() == date.fromisoformat(given)),
    "iexact": lambda value, given: fold(value) == fold(given),
    "contains": lambda value, given: all(g in value for g in given) if isinstance(value, list) else given in value,
    "icontains": lambda value, given: fold(given) in fold(value),
    "startswith": lambda value, given: bool(value.startswith(given)),
    "istartswith": lambda value, given: fold(value).startswith(fold(given)),
}
