"""Kinds of values: what a field takes in JSON and in a query string, and what it says when it cannot.

A kind is a small record with two readers. `read` takes a JSON value and is strict about its type; `read_text` takes
the text of a query parameter. Both return the value as models keep it, or raise Mistake with a sentence for the client.
Null is the field's business, not the kind's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal as Number
from enum import StrEnum
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from models.resources.mistakes import Mistake


class Kind(Protocol):
    """What every kind can do."""

    def read(self, value: object) -> Any: ...

    def read_text(self, text: str) -> Any: ...


@dataclass(frozen=True)
class Integer:
    """A whole number within bounds."""

    low: int = -(2**31)
    high: int = 2**31 - 1

    def read(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Mistake("A whole number is required.")
        if not self.low <= value <= self.high:
            raise Mistake(f"Must be from {self.low} to {self.high}.")
        return value

    def read_text(self, text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,19}", text):
            raise Mistake("A whole number is required.")
        return self.read(int(text))


#: Keys of records with serial numbers.
SERIAL = Integer(1, 2**63 - 1)


@dataclass(frozen=True)
class Uuid:
    """A UUID, as text."""

    def read(self, value: object) -> UUID:
        if not isinstance(value, str):
            raise Mistake("Must be a UUID.")
        return self.read_text(value)

    def read_text(self, text: str) -> UUID:
        try:
            return UUID(text)
        except ValueError:
            raise Mistake("Must be a UUID.") from None


@dataclass(frozen=True)
class OneOf:
    """One of a few whole numbers."""

    numbers: tuple[int, ...]

    def read(self, value: object) -> int:
        number = Integer().read(value)
        if number not in self.numbers:
            raise Mistake(f"Must be one of {', '.join(map(str, self.numbers))}.")
        return number

    def read_text(self, text: str) -> int:
        return self.read(Integer().read_text(text))


@dataclass(frozen=True)
class Decimal:
    """An exact number with so many digits in all, so many of them after the point. Text or number in, text out."""

    digits: int
    places: int

    def read(self, value: object) -> Number:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Mistake("A valid number is required.")
        return self.read_text(value if isinstance(value, str) else format(Number(repr(value)), "f"))

    def read_text(self, text: str) -> Number:
        match = re.fullmatch(r"-?([0-9]{1,40})(?:\.([0-9]{1,40}))?", text.strip())
        if match is None:
            raise Mistake("A valid number is required.")
        whole, fraction = match[1].lstrip("0"), (match[2] or "").rstrip("0")
        if len(fraction) > self.places:
            raise Mistake(f"At most {self.places} decimal places are kept.")
        if len(whole) > self.digits - self.places:
            raise Mistake(f"At most {self.digits - self.places} digits may stand before the point.")
        return Number(match[0]).quantize(Number(1).scaleb(-self.places)) + 0  # + 0 turns -0.00 into 0.00


@dataclass(frozen=True)
class Text:
    """Text up to a length, trimmed. Null and blank mean empty."""

    longest: int | None = None

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise Mistake("Must be text.")
        return self.read_text(value)

    def read_text(self, text: str) -> str:
        text = text.strip()
        if "\x00" in text:
            raise Mistake("Null characters are not allowed.")
        if self.longest is not None and len(text) > self.longest:
            raise Mistake(f"At most {self.longest} characters are kept, this has {len(text)}.")
        return text


@dataclass(frozen=True)
class Email(Text):
    """An e-mail address."""

    longest: int | None = 254

    def read_text(self, text: str) -> str:
        text = super().read_text(text)
        if text and not re.fullmatch(r"[^\s@<>(),;:\\\"\[\]]{1,64}@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W_]{2,63}", text):
            raise Mistake("Enter a valid e-mail address.")
        return text


@dataclass(frozen=True)
class Url(Text):
    """A web address, http or https."""

    longest: int | None = 200

    def read_text(self, text: str) -> str:
        text = super().read_text(text)
        try:
            parts = urlsplit(text)
            valid = not text or (
                parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text)
            )
        except ValueError:
            valid = False
        if not valid:
            raise Mistake("Enter a valid URL that begins with http:// or https://.")
        return text


@dataclass(frozen=True)
class Currency(Text):
    """A currency's three letters, as in ISO 4217."""

    longest: int | None = 3

    def read_text(self, text: str) -> str:
        text = super().read_text(text).upper()
        if not re.fullmatch(r"[A-Z]{3}", text):
            raise Mistake("Must be three letters, such as USD.")
        return text


@dataclass(frozen=True)
class Choice:
    """One of the words of an enumeration; one that has the empty word can be left empty."""

    of: type[StrEnum]

    def read(self, value: object) -> StrEnum:
        words = {word.value: word for word in self.of}
        if isinstance(value, str) and value in words:
            return words[value]
        raise Mistake(f"Must be one of {', '.join(word or '(empty)' for word in words)}.")

    def read_text(self, text: str) -> StrEnum:
        return self.read(text)


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def read(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise Mistake("Must be true or false.")
        return value

    def read_text(self, text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise Mistake("Must be true or false.")
        return text.lower() == "true"


@dataclass(frozen=True)
class Moment:
    """A date with a time, ISO 8601; without an offset it is UTC."""

    def read(self, value: object) -> datetime:
        if not isinstance(value, str):
            raise Mistake("Must be a date with a time, such as 2026-03-31T14:30:00Z.")
        return self.read_text(value)

    def read_text(self, text: str) -> datetime:
        try:
            if not re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]", text, re.ASCII):
                raise ValueError
            # A plus sign that was not escaped in a query string arrives as a space.
            moment = datetime.fromisoformat(re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", text) if "T" in text else text)
            return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Mistake("Must be a date with a time, such as 2026-03-31T14:30:00Z.") from None


@dataclass(frozen=True)
class Day:
    """A date, YYYY-MM-DD."""

    def read(self, value: object) -> date:
        if not isinstance(value, str):
            raise Mistake("Must be a date, such as 2026-03-31.")
        return self.read_text(value)

    def read_text(self, text: str) -> date:
        try:
            if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
                raise ValueError
            return date.fromisoformat(text)
        except ValueError:
            raise Mistake("Must be a date, such as 2026-03-31.") from None


@dataclass(frozen=True)
class Tags:
    """A list of short texts, each once."""

    longest: int = 100
    most: int = 100

    def read(self, value: object) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise Mistake("Must be a list of texts.")
        if len(value) > self.most:
            raise Mistake(f"At most {self.most} are kept.")
        one = Text(self.longest)
        return list(dict.fromkeys(one.read(tag) for tag in value))

    def read_text(self, text: str) -> list[str]:
        return self.read(text.split(","))


@dataclass(frozen=True)
class Object:
    """A JSON object; what is in it is its owner's business."""

    def read(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Mistake("Must be a JSON object.")
        if _has_null(value):
            raise Mistake("Null characters are not allowed.")
        return value

    def read_text(self, text: str) -> dict[str, Any]:
        raise Mistake("Cannot be given as text.")


def _has_null(value: object) -> bool:
    """Whether a text anywhere inside has a null character, which Postgres cannot keep."""
    stack = [value]
    while stack:
        match stack.pop():
            case str() as text if "\x00" in text:
                return True
            case dict() as mapping:
                stack.extend(mapping.keys())
                stack.extend(mapping.values())
            case list() as items:
                stack.extend(items)
    return False
