"""An import as it is kept: how its file is read, what its columns mean, what was chosen. JSON in, records out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from models.imports import mapping
from models.imports.detection import DELIMITERS, ENCODINGS, Form, Order, Point
from models.imports.table import Choices, Table, default_key
from models.resources.catalogue import RESOURCES
from models.resources.kinds import Choice, Flag, Kind, Text
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import Resource

#: Resources by what routes and files call them.
TYPES = {resource.path: resource for resource in RESOURCES.values()}

_FLAG = Flag()
#: What can be chosen about what is done with rows, and about how a file is read.
CHOICES: Mapping[str, Kind] = {
    "update_existing": _FLAG,
    "skip_errors": _FLAG,
    "key": Text(100),
    "duplicates": Text(10),
    "clear_blanks": _FLAG,
}
FORM: Mapping[str, Kind] = {
    "encoding": Text(20),
    "delimiter": Text(),
    "header": _FLAG,
    "dates": Choice(Order),
    "decimal": Choice(Point),
}
#: Of which words some of them are one.
WORDS: Mapping[str, Sequence[str]] = {
    "duplicates": ("last", "first"),
    "encoding": ENCODINGS,
    "delimiter": DELIMITERS,
}


def options(given: Mapping[str, object]) -> dict[str, Any]:
    """What a user chose, each a value of its kind; text such as `true` too. Raises Invalid."""
    wrong, read = {}, {}
    kinds = {**CHOICES, **FORM}
    for name, value in given.items():
        try:
            if name not in kinds:
                raise Mistake(f"Unknown option. Options are: {', '.join(kinds)}.")
            if name == "delimiter":
                chosen: Any = value
            else:
                chosen = kinds[name].read_text(value) if isinstance(value, str) else kinds[name].read(value)
            if name in WORDS and chosen not in WORDS[name]:
                raise Mistake(f"Must be one of {', '.join(map(repr, WORDS[name]))}.")
            read[name] = chosen
        except Mistake as mistake:
            wrong[name] = [str(mistake)]
    if wrong:
        raise Invalid(wrong)
    return read


def form(detected: Mapping[str, Any], chosen: Mapping[str, Any]) -> Form:
    """How the file is read: as detected, unless something else was chosen."""
    known = {name: detected[name] for name in asdict(Form())}
    known |= {name: value for name, value in chosen.items() if name in FORM}
    return replace(Form(**known), dates=Order(known["dates"]), decimal=Point(known["decimal"]))


def table(kind: str, detected: Mapping[str, Any], chosen: Mapping[str, Any], mapped: Mapping[str, Any]) -> Table:
    """The rows of an import as records. Raises Invalid for a mapping or choices that cannot be."""
    resource = TYPES[kind]
    rules = mapping.read(mapped, detected["columns"], resource)
    picked = {name: value for name, value in chosen.items() if name in CHOICES}
    choices = Choices(**picked)
    if not choices.key:
        key = default_key(resource, rules, update_existing=choices.update_existing)
        choices = replace(choices, key=key)
    return Table(resource, detected["columns"], rules, form(detected, chosen), choices)


def proposed(resource: Resource, columns: Sequence[str], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping by the names of columns; by id only where records are to be updated."""
    return mapping.proposed(columns, resource, ids=bool(chosen.get("update_existing")))
