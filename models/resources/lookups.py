"""How values can be compared: the lookups that each kind has, what they take, and their SQL.

Every condition is true or false, never unknown: a comparison with null is false, its negation therefore true. `ne` is
the negation of the plain comparison, so it keeps nulls. Text compares literally, except that `i…`, the comparisons by
order and their kin look at it without case and accents (`models/folding.py`), as search and ordering do.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, auto
from typing import Any

import orjson

from models.folding import fold
from models.resources.content_types import Customised
from models.resources.kinds import (
    SERIAL,
    Choice,
    Currency,
    Day,
    Decimal,
    Flag,
    Integer,
    Kind,
    Moment,
    OneOf,
    Schema,
    Tags,
    Text,
    Uuid,
)
from models.resources.mistakes import Mistake

#: Values that a list may have.
MOST_VALUES = 100

#: Makes a value a parameter of the statement and gives its place, such as `$3`.
Place = Callable[[Any], str]


class Takes(Enum):
    """How many values a lookup takes, separated by commas; one with a comma stands in double quotes, as in CSV."""

    ONE = auto()
    SEVERAL = auto()
    TWO = auto()


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """One way to compare."""

    #: What each value given is read as.
    kind: Kind
    #: The SQL condition on an expression; not true for null.
    test: Callable[[str, Any, Place], str]
    takes: Takes = Takes.ONE
    #: Whether what is asked for is that the test fails.
    negated: Callable[[Any], bool] = lambda _: False
    #: Whether the test is never unknown.
    certain: bool = False

    def read(self, given: str | Sequence[str]) -> Any:
        """The value to compare with. Raises Mistake."""
        if self.takes is Takes.ONE:
            if not isinstance(given, str):
                raise Mistake("Give one value, not a list.")
            return self.kind.read_text(given)
        texts = _split(given) if isinstance(given, str) else given
        if self.takes is Takes.TWO and len(texts) != 2:
            raise Mistake("Give two values, separated by a comma.")
        if len(texts) > MOST_VALUES:
            raise Mistake(f"At most {MOST_VALUES} values can be given.")
        return [self.kind.read_text(text) for text in texts]


class Plain(Text):
    """Text to compare with, as it is."""

    def read_text(self, text: str) -> str:
        if "\x00" in text:
            raise Mistake("Null characters are not allowed.")
        return text


class Folded(Plain):
    """Text to compare with, without case and accents."""

    def read_text(self, text: str) -> str:
        return fold(super().read_text(text))


@dataclass(frozen=True)
class Span:
    """A moment, or a whole day: from its beginning until before its end."""

    begin: datetime
    end: datetime | None = None


class When(Moment):
    """A moment to compare with, or a date, which means the whole day in UTC."""

    def read_text(self, text: str) -> Any:
        if len(text) != len("2026-03-31"):
            return Span(super().read_text(text))
        return WholeDay().read_text(text)

    def schema(self, *, given: bool) -> Schema:
        return {"anyOf": [super().schema(given=given), WholeDay().schema(given=given)]}


class WholeDay(Day):
    """A day in UTC, from its beginning until before its end."""

    def read_text(self, text: str) -> Any:
        day = super().read_text(text)
        if day == date.max:
            raise Mistake("Must be before 9999-12-31.")
        begin = datetime.combine(day, time.min, UTC)
        return Span(begin, begin + timedelta(days=1))


INTEGER, NUMBER, PLAIN, FOLDED = Integer(), Decimal(28, 8), Plain(), Folded()

Lookups = dict[str, Lookup]

IS_NULL: Lookups = {
    "isnull": Lookup(kind=Flag(), test=lambda x, _v, _p: f"{x} IS NOT NULL", negated=bool, certain=True)
}


def lookups(kind: Kind) -> Lookups:
    """What values of this kind can be compared by; the plain comparison is named by the empty text."""
    match kind:
        case Choice() | Flag() | Uuid() | Customised():
            return _equal(kind) | IS_NULL
        case OneOf():
            return _equal(kind) | _compared(INTEGER) | IS_NULL
        case Integer():
            wide = SERIAL if kind.high > INTEGER.high else INTEGER
            return _equal(wide) | _compared(wide) | IS_NULL
        case Decimal():
            return _equal(NUMBER) | _compared(NUMBER) | IS_NULL
        case Text():
            return _equal(kind if isinstance(kind, Currency) else PLAIN) | _compared(FOLDED, _folded) | WORDS | IS_NULL
        case Moment():
            return _equal(Moment()) | MOMENTS | IS_NULL
        case Day():
            return _equal(kind) | _compared(kind) | IS_NULL
        case Tags():
            return TAGGED
        case _:
            return {}


def reference_lookups() -> Lookups:
    """What a reference can be compared by: the id of what it refers to."""
    return _equal(SERIAL) | IS_NULL


def orderable(kind: Kind) -> bool:
    """Whether a list can be ordered by values of this kind."""
    if isinstance(kind, Text):
        return kind.longest is not None
    return isinstance(kind, Choice | Flag) or "gt" in lookups(kind)


def sortable(kind: Kind, sql: str) -> str:
    """The expression by which values order: text without case and accents, words of choices letter by letter."""
    if isinstance(kind, Text):
        return _folded(sql)
    return f'{sql} COLLATE "C"' if isinstance(kind, Choice) else sql


def _folded(sql: str) -> str:
    return f'hub_fold({sql}) COLLATE "C"'


def _same(sql: str) -> str:
    return sql


def _equal(kind: Kind) -> dict[str, Lookup]:
    return {
        "": Lookup(kind=kind, test=lambda x, v, place: f"{x} = {place(v)}"),
        "ne": Lookup(kind=kind, test=lambda x, v, place: f"{x} = {place(v)}", negated=lambda _: True),
        "in": Lookup(kind=kind, test=lambda x, v, place: f"{x} = ANY({place(v)})", takes=Takes.SEVERAL),
    }


def _compared(kind: Kind, seen: Callable[[str], str] = _same) -> dict[str, Lookup]:
    def by(operator: str) -> Lookup:
        return Lookup(kind=kind, test=lambda x, v, place: f"{seen(x)} {operator} {place(v)}")

    return {
        **{name: by(operator) for name, operator in OPERATORS.items()},
        "range": Lookup(
            kind=kind,
            test=lambda x, v, place: f"{seen(x)} BETWEEN {place(v[0])} AND {place(v[1])}",
            takes=Takes.TWO,
        ),
    }


OPERATORS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

WORDS: Lookups = {
    "iexact": Lookup(kind=FOLDED, test=lambda x, v, place: f"{_folded(x)} = {place(v)}"),
    "contains": Lookup(kind=PLAIN, test=lambda x, v, place: f"strpos({x}, {place(v)}) > 0"),
    "icontains": Lookup(kind=FOLDED, test=lambda x, v, place: f"strpos(hub_fold({x}), {place(v)}) > 0"),
    "startswith": Lookup(kind=PLAIN, test=lambda x, v, place: f"starts_with({x}, {place(v)})"),
    "istartswith": Lookup(kind=FOLDED, test=lambda x, v, place: f"starts_with({_folded(x)}, {place(v)})"),
}


def _since(x: str, span: Span, place: Place) -> str:
    return f"{x} >= {place(span.begin)}"


def _after(x: str, span: Span, place: Place) -> str:
    return f"{x} > {place(span.begin)}" if span.end is None else f"{x} >= {place(span.end)}"


def _before(x: str, span: Span, place: Place) -> str:
    return f"{x} < {place(span.begin)}"


def _until(x: str, span: Span, place: Place) -> str:
    return f"{x} <= {place(span.begin)}" if span.end is None else f"{x} < {place(span.end)}"


MOMENTS: Lookups = {
    "lt": Lookup(kind=When(), test=_before),
    "lte": Lookup(kind=When(), test=_until),
    "gt": Lookup(kind=When(), test=_after),
    "gte": Lookup(kind=When(), test=_since),
    "range": Lookup(
        kind=When(),
        test=lambda x, v, place: f"({_since(x, v[0], place)} AND {_until(x, v[1], place)})",
        takes=Takes.TWO,
    ),
    "date": Lookup(kind=WholeDay(), test=lambda x, v, place: f"({_since(x, v, place)} AND {_until(x, v, place)})"),
}

TAGGED: Lookups = {
    "contains": Lookup(
        kind=PLAIN,
        test=lambda x, v, place: f"{x} @> {place(orjson.dumps(v).decode())}::jsonb",
        takes=Takes.SEVERAL,
    ),
}


def _split(text: str) -> list[str]:
    """The values in a list. Raises Mistake."""
    try:
        (values,) = csv.reader([text], strict=True) if text else [[""]]
    except (csv.Error, ValueError):
        raise Mistake('Separate values by commas; one with a comma stands in double quotes: "a, b",c.') from None
    return values
