"""A part of an ordered list: a page by its number, or what follows or precedes a row, which is its cursor.

A cursor is the values of the keys in that row. Rows that do not change are met once, however others come, go and move.
Such a part is a range of the index that has the order, so that the last page costs what the first does.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal as Number
from typing import Any

import orjson

from models.resources.conditions import Conditions
from models.resources.kinds import Choice, Decimal, Integer, Kind, OneOf, Text
from models.resources.lookups import INTEGER, NUMBER, PLAIN, Place
from models.resources.mistakes import Mistake
from models.resources.ordering import Key, Order

LONGEST_CURSOR = 4000

STALE = "This is no cursor of this list in this order. Begin with an empty one."


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """A place in an order."""

    #: The values of its keys, as text; None for before the first.
    values: Sequence[str | None]
    #: Whether what precedes it is wanted rather than what follows.
    backward: bool = False

    def text(self, order: Order) -> str:
        """What a client sends back."""
        said = [[key.term for key in order], list(self.values), self.backward]
        return base64.urlsafe_b64encode(orjson.dumps(said)).decode().rstrip("=")

    @staticmethod
    def read(text: str, order: Order) -> Cursor:
        """The cursor in a text. Raises Mistake for one of another order, and for what is none."""
        try:
            if len(text) > LONGEST_CURSOR:
                raise Mistake
            terms, values, backward = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            if terms != [key.term for key in order] or len(values) != len(order) or not isinstance(backward, bool):
                raise Mistake
            for key, value in zip(order, values, strict=True):
                if value is not None or not key.null:
                    _kept(key.kind).read(value) if isinstance(key.kind, Text) else _kept(key.kind).read_text(value)
            return Cursor(values=values, backward=backward)
        except (Mistake, binascii.Error, ValueError, TypeError):
            raise Mistake(STALE) from None

    @staticmethod
    def at(row: Mapping[str, Any], order: Order, *, backward: bool = False) -> Cursor:
        """The place of a row that a window gave."""
        return Cursor(values=[_written(row[f"order_{i}"]) for i in range(len(order))], backward=backward)


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which part of a list: so many rows, from a place or after so many others."""

    order: Order
    limit: int
    offset: int = 0
    after: Cursor | None = None

    @property
    def backward(self) -> bool:
        return self.after is not None and self.after.backward

    @property
    def columns(self) -> list[str]:
        """The columns a row has the keys in."""
        return [f"order_{i}" for i in range(len(self.order))]

    def sql(self, columns: str, source: str, conditions: Conditions) -> str:
        """The statement that gives these columns of the rows, and the keys as `order_0` and so on.

        Rows before a place come in the opposite order.
        """
        keys = ", ".join(f"{key.sql} AS order_{i}" for i, key in enumerate(self.order))
        parts = _beyond(self.order, self.after, conditions.place) if self.after else ["TRUE"]
        tail = f" ORDER BY {self.terms} LIMIT {self.limit}"
        texts = [f"SELECT {columns}, {keys} FROM {source} WHERE {conditions.sql} AND ({part}){tail}" for part in parts]
        if len(texts) == 1:
            return texts[0] + (f" OFFSET {self.offset}" if self.offset else "")
        return " UNION ALL ".join(f"({text})" for text in texts) + tail

    @property
    def terms(self) -> str:
        """The ORDER BY, over the columns with the keys."""
        named = zip(self.columns, self.order, strict=True)
        return ", ".join(f"{column}{_direction(key, self.backward)}" for column, key in named)


def _direction(key: Key, backward: bool) -> str:
    """Without a word on nulls where there are none, so that one index serves both directions."""
    text = " DESC" if key.descending != backward else ""
    return f"{text} NULLS {'FIRST' if backward else 'LAST'}" if key.null else text


def _beyond(order: Order, cursor: Cursor, place: Place) -> list[str]:
    """Conditions of which each keeps one range of the rows beyond a place, in the order they are met; none is both."""
    values = [
        None if text is None else _kept(key.kind).read_text(text)
        for key, text in zip(order, cursor.values, strict=True)
    ]
    return _ranges(order, values, cursor.backward, place)


def _ranges(order: Order, values: Sequence[Any], backward: bool, place: Place) -> list[str]:
    first, rest = order[0], order[1:]
    if values[0] is None:
        inner = " OR ".join(f"({part})" for part in _ranges(rest, values[1:], backward, place))
        return [f"{first.sql} IS NULL AND ({inner})", *([f"{first.sql} IS NOT NULL"] if backward else [])]
    beyond = "<" if first.descending != backward else ">"
    if all(key.descending == first.descending and not key.null for key in rest):
        keys, places = ", ".join(key.sql for key in order), ", ".join(place(value) for value in values)
        parts = [f"({keys}) {beyond} ({places})"]
    else:
        at = place(values[0])
        inner = " OR ".join(f"({part})" for part in _ranges(rest, values[1:], backward, place))
        parts = [f"{first.sql} {beyond}= {at} AND ({first.sql} {beyond} {at} OR {inner})"]
    return parts + ([f"{first.sql} IS NULL"] if first.null and not backward else [])


def _kept(kind: Kind) -> Kind:
    """How the value of a key is read back from its text."""
    match kind:
        case Text() | Choice():
            return PLAIN
        case OneOf():
            return INTEGER
        case Integer():
            return Integer() if kind.high <= INTEGER.high else kind
        case Decimal():
            return NUMBER
        case _:
            return kind


def _written(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return str(value).lower()
        case Number():
            return format(value, "f")
        case date():
            return value.isoformat()
        case _:
            return str(value)
