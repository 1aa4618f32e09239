"""Reading a JSON document into frozen records, one dataclass per object, and saying what is wrong by its full name.

A record's fields are its keys. Their types say what is allowed: bool, int (never negative), str, tuples of these, a
Literal of texts, another record, a tuple of records, or one of these with a mark: Whole, Duration, Text.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from hub import durations

T = TypeVar("T")

#: Longest part of a value that is shown back.
SHOWN = 60


@dataclass(frozen=True)
class Whole:
    """A whole number with a lower bound."""

    least: int


@dataclass(frozen=True)
class Duration:
    """A duration; inside it is seconds."""

    #: Takes no parts of a second.
    whole: bool = False


@dataclass(frozen=True)
class Text:
    """A text of which more is asked; `check` raises ValueError with what is allowed. Secrets are never shown."""

    check: Callable[[str], object] = str
    secret: bool = False


Seconds = Annotated[float, Duration()]
WholeSeconds = Annotated[float, Duration(whole=True)]
Positive = Annotated[int, Whole(1)]
Secret = Annotated[str, Text(secret=True)]


class Reader:
    """Reads one document. What is wrong is collected in `mistakes`, a sentence each."""

    def __init__(self, root: type[Any], unsupported: Mapping[str, str]) -> None:
        """`unsupported` has full names that are keys elsewhere but not here, and what there is instead."""
        self.mistakes: list[str] = []
        self._known = sorted(_names(root))
        self._unsupported = unsupported

    def record(self, kind: type[T], value: object, path: str) -> T | None:
        """The record in a JSON value; None if it is none, or lacks something."""
        if not isinstance(value, dict):
            self.mistakes.append(f"{path or 'It'} must be an object, not {_shown(value)}.")
            return None
        types, read = _types(kind), {}
        for name, inner in value.items():
            if name in types:
                read[name] = self._value(types[name], inner, _join(path, name))
            else:
                self._unknown(_join(path, name), name)
        missing = [name for name in _required(kind) if name not in value]
        self.mistakes += [f"{_join(path, name)} is required." for name in missing]
        return None if missing or None in read.values() else kind(**read)

    def _value(self, kind: Any, value: object, path: str) -> Any:
        if isinstance(kind, type) and is_dataclass(kind):
            return self.record(kind, value, path)
        if get_origin(kind) is tuple:
            return self._list(get_args(kind)[0], value, path)
        try:
            return _scalar(kind, value)
        except ValueError as error:
            secret = isinstance(_mark(kind), Text) and _mark(kind).secret
            self.mistakes.append(f"{path} must be {error}, not {_kind_of(value) if secret else _shown(value)}.")
            return None

    def _list(self, kind: Any, value: object, path: str) -> Any:
        if not isinstance(value, list):
            self.mistakes.append(f"{path} must be a list, not {_shown(value)}.")
            return None
        items = [self._value(kind, inner, f"{path}[{_label(inner, n)}]") for n, inner in enumerate(value)]
        return None if None in items else tuple(items)

    def _unknown(self, path: str, name: str) -> None:
        place = re.sub(r"\[[^]]*\]", "[]", path)
        if place in self._unsupported:
            why = self._unsupported[place]
            self.mistakes.append(f"{path} is not supported{': ' if why else ''}{why}.")
            return
        hint = self._nearest(place, name)
        self.mistakes.append(f"{path} is not a key{f'; did you mean {hint}?' if hint else '.'}")

    def _nearest(self, place: str, name: str) -> str | None:
        """The known name most like this one: in the same place, elsewhere by the same last part, or as a whole."""
        above = place.removesuffix(name)
        here = [one for one in self._known if one.startswith(above) and "." not in one[len(above) :]]
        if near := difflib.get_close_matches(place, here, 1, 0.85):
            return near[0]
        if same := [one for one in self._known if one.rpartition(".")[2] == name]:
            return " or ".join(same[:3])
        flat = {one.replace(".", "_").replace("[]", ""): one for one in self._known}
        near = difflib.get_close_matches(place.replace(".", "_").replace("[]", ""), flat, 1, 0.7)
        return flat[near[0]] if near else None


def known(kind: type[Any], path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every key below a record: its dotted name (`list[].key`), type and default; records themselves are not listed."""
    for field in fields(kind):
        name, inner = _join(path, field.name), _types(kind)[field.name]
        if isinstance(inner, type) and is_dataclass(inner):
            yield from known(inner, name)
        elif get_origin(inner) is tuple and is_dataclass(get_args(inner)[0]):
            yield from known(get_args(inner)[0], f"{name}[]")
        else:
            yield name, inner, _default(field)


def _names(kind: type[Any]) -> set[str]:
    """Every key below a record, and what they are in."""
    names = set()
    for name, *_ in known(kind):
        while name:
            names.add(name.removesuffix("[]"))
            name = name.rpartition(".")[0]
    return names


def shown_default(kind: Any, default: Any) -> str:
    """A default as one would write it in the document; empty if there is none."""
    if default is MISSING:
        return ""
    if isinstance(_mark(kind), Duration):
        return json.dumps(durations.show(default))
    return json.dumps(default)


def _scalar(kind: Any, value: object) -> Any:
    """The value as a record keeps it. Raises ValueError with what is allowed."""
    mark = _mark(kind)
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise ValueError("true or false")
    if get_origin(kind) is Literal:
        if isinstance(value, str) and value in get_args(kind):
            return value
        raise ValueError(f"one of {', '.join(json.dumps(one) for one in get_args(kind))}")
    if isinstance(mark, Duration):
        return _duration(mark, value)
    if kind is int or isinstance(mark, Whole):
        least = mark.least if isinstance(mark, Whole) else 0
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        raise ValueError(f"a whole number from {least}")
    if not isinstance(value, str):
        raise ValueError("text")
    if isinstance(mark, Text) and value:
        mark.check(value)
    return value


def _duration(mark: Duration, value: object) -> float:
    allowed = 'a duration in whole seconds such as "90s" or "1h30m"' if mark.whole else 'a duration such as "25s"'
    try:
        # A number would be nanoseconds; nobody who writes one means that.
        seconds = durations.parse(value if isinstance(value, str) else str(value) if value == 0 else "")
    except ValueError:
        raise ValueError(allowed) from None
    if mark.whole and seconds != int(seconds):
        raise ValueError(allowed)
    return seconds


def _types(kind: type[Any]) -> dict[str, Any]:
    """Field names and types of a record."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def _required(kind: type[Any]) -> list[str]:
    return [field.name for field in fields(kind) if _default(field) is MISSING]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _mark(kind: Any) -> Any:
    return get_args(kind)[1] if get_origin(kind) is Annotated else None


def _join(path: str, name: str) -> str:
    name = name if name.isprintable() else ascii(name)
    return f"{path}.{name}" if path else name


def _label(value: object, index: int) -> object:
    """How to tell an item of a list from the others."""
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) and name else index


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else _kind_of(value)


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "that text"
        case list():
            return "a list"
    return "an object"
