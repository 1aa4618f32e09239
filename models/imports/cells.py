"""Values as text in a cell, and back: how dates, numbers, choices, tags and JSON are written in files.

A cell is brought into the form that the field's own kind reads, and the kind judges it: what a request may say is what
a file may say. What an export writes, an import reads as the same value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import time
from decimal import Decimal as Number
from typing import Any

import orjson

from models.imports.detection import Form, Order, Point
from models.resources import kinds
from models.resources.kinds import Kind
from models.resources.mistakes import Mistake

#: What a spreadsheet would take for a formula, and what an escaped one looks like: one apostrophe more.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r]")

_DATE = re.compile(r"([0-9]{1,4})([/.-])([0-9]{1,2})\2([0-9]{1,4})(?:[ T]+(.+))?")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?\s*([AaPp])?\.?(?:[Mm]\.?)?(Z)?")
_SIGN = re.compile(r"^[$€£¥]\s*|\s*[$€£¥]$")
_GROUPED = {
    Point.POINT: re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?"),
    Point.COMMA: re.compile(r"[-+]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]*)?"),
}


def escaped(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return "'" + text if _FORMULA.match(text) else text


def plain(cell: str) -> str:
    """The text of a cell that may be escaped."""
    return cell[1:] if _ESCAPED.match(cell) else cell


def day(text: str, order: Order) -> str:
    """A date, with a time or not, in the form YYYY-MM-DD[THH:MM:SS]. Raises Mistake if it can be read in two ways.

    Years of two digits are from 1969 to 2068.
    """
    match = _DATE.fullmatch(text)
    if match is None or (len(match[1]) == 4 and match[2] == "-"):
        return text
    first, between, second, third, rest = match.groups()
    if len(first) == 4:
        year, month, of_month = first, second, third
    elif order is Order.DAY_FIRST or between == ".":
        of_month, month, year = first, second, third
    elif order is Order.MONTH_FIRST:
        month, of_month, year = first, second, third
    elif order is Order.YEAR_FIRST:
        year, month, of_month = first, second, third
    else:
        raise Mistake(f"{text[:40]} can be read in two ways: say whether dates are dmy or mdy.")
    if len(year) <= 2:
        year = str(int(year) + (2000 if int(year) < 69 else 1900))
    date = f"{year:0>4}-{month:0>2}-{of_month:0>2}"
    return date if rest is None else f"{date}T{_clock(rest)}"


def _clock(text: str) -> str:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return text
    hour, minute, second, half, utc = match.groups()
    of_day = int(hour) if half is None else int(hour) % 12 + (12 if half in "pP" else 0)
    try:
        return time(of_day, int(minute), int(second or 0)).isoformat() + (utc or "")
    except ValueError:
        return text


def number(text: str, point: Point) -> str:
    """A number with a decimal point, without thousands separators and signs of currency.

    Separators are taken away only where it was said or seen what the decimals stand after.
    """
    text = _SIGN.sub("", text)
    if (form := _GROUPED.get(point)) and form.fullmatch(text):
        text = text.replace("." if point is Point.COMMA else ",", "")
    if point is Point.COMMA and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    return text.removeprefix("+").removesuffix(".")


def _whole(text: str, point: Point) -> str:
    """A whole number; spreadsheets write some as 3.0."""
    return re.sub(r"\.0+$", "", number(text, point))


def _read_day(kind: Kind, text: str, form: Form) -> Any:
    return kind.read_text(re.sub(r"[T ]00:00(:00(\.0+)?)?Z?$", "", day(text, form.dates)))


def _read_moment(kind: Kind, text: str, form: Form) -> Any:
    moment = day(text, form.dates)
    return kind.read_text(f"{moment}T00:00:00Z" if len(moment) == len("2026-03-31") else moment)


def _read_number(kind: Kind, text: str, form: Form) -> Any:
    return kind.read_text(number(text, form.decimal))


def _read_whole(kind: Kind, text: str, form: Form) -> Any:
    return kind.read_text(_whole(text, form.decimal))


def _read_choice(kind: Kind, text: str, form: Form) -> Any:
    return kind.read_text(re.sub(r"[\s-]+", "_", text.lower()))


def _read_tags(kind: Kind, text: str, form: Form) -> Any:
    if text.startswith("["):
        return kind.read(_json(text))
    return kind.read([tag for tag in (part.strip() for part in text.split(",")) if tag])


def _read_object(kind: Kind, text: str, form: Form) -> Any:
    return kind.read(_json(text))


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Mistake("Is not valid JSON.") from None


READERS: Mapping[type, Callable[[Kind, str, Form], Any]] = {
    kinds.Day: _read_day,
    kinds.Moment: _read_moment,
    kinds.Decimal: _read_number,
    kinds.Integer: _read_whole,
    kinds.OneOf: _read_whole,
    kinds.Choice: _read_choice,
    kinds.Tags: _read_tags,
    kinds.Object: _read_object,
}


def read(kind: Kind, text: str, form: Form) -> Any:
    """The value of a cell that is not blank, as the kind reads it. Raises Mistake."""
    reader = READERS.get(type(kind))
    return kind.read_text(text) if reader is None else reader(kind, text, form)


def amount(text: str, form: Form) -> Number:
    """The exact number in a cell, for a sum. Raises Mistake."""
    plain = number(text, form.decimal)
    if not re.fullmatch(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?", plain):
        raise Mistake("A valid number is required.")
    return Number(plain)
