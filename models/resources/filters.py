"""Filters: which records are wanted, as query parameters say it.

Parameters are joined by AND: `status=new&amount__gte=5000&contact__company_name__icontains=acme`. What they cannot say
is said by one more, `filter`, a tree in JSON whose keys are the same names, or `and`, `or` and `not`:

    filter={"or": [{"status": "new"}, {"not": {"tags__contains": "vip"}, "lead_score__gte": 80}]}

A condition is true or false, so that `not` keeps what is null. Filters are read once and can be written as SQL for any
viewer, so a job keeps the parameters as they came and reads them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from models import database
from models.access import Viewer
from models.resources.conditions import Conditions
from models.resources.kinds import Flag
from models.resources.lookups import Lookup, Place
from models.resources.mistakes import Invalid, Mistake
from models.resources.operands import NO_MORE, More, Operand, Unknown, find, operands
from models.resources.resource import Preset, Resource

#: The parameter with a tree.
FILTER = "filter"

AND, OR, NOT = "and", "or", "not"

#: What else a list takes.
BESIDE = (FILTER, "search", "ordering", "page", "page_size", "cursor", "count")

#: Conditions in all, levels of a tree, and characters of one.
MOST_CONDITIONS, DEEPEST_TREE, LONGEST_TREE = 50, 6, 10_000


class Condition(Protocol):
    """Something that is true or false of a record."""

    def sql(self, alias: str, viewer: Viewer, place: Place) -> str: ...


@dataclass(frozen=True)
class Comparison:
    """A value of the record, compared."""

    operand: Operand
    lookup: Lookup
    value: Any

    def sql(self, alias: str, viewer: Viewer, place: Place) -> str:
        text = self.operand.holds(lambda sql: self.lookup.test(sql, self.value, place), alias, viewer)
        if not self.lookup.negated(self.value):
            return text
        certain = self.lookup.certain or self.operand.through or not self.operand.null
        return f"NOT ({text})" if certain else f"({text}) IS NOT TRUE"


@dataclass(frozen=True)
class Chosen:
    """A filter with a name of its own."""

    preset: Preset

    def sql(self, alias: str, viewer: Viewer, place: Place) -> str:
        condition = self.preset.condition
        return f"({condition.format(*(place(viewer.id) for _ in range(condition.count('{}'))))})"


@dataclass(frozen=True)
class Group:
    """All of several conditions, or any of them."""

    word: str
    parts: Sequence[Condition]

    def sql(self, alias: str, viewer: Viewer, place: Place) -> str:
        texts = [part.sql(alias, viewer, place) for part in self.parts]
        return f"({f' {self.word.upper()} '.join(texts)})" if texts else str(self.word == AND).upper()


@dataclass(frozen=True)
class Negation:
    """The opposite of a condition."""

    part: Condition

    def sql(self, alias: str, viewer: Viewer, place: Place) -> str:
        return f"({self.part.sql(alias, viewer, place)}) IS NOT TRUE"


@dataclass(frozen=True)
class Filters:
    """Which records of a kind are wanted."""

    resource: Resource
    condition: Group
    #: Ids that were named, with the parameter and the kind of record.
    named: Sequence[tuple[str, Resource, Sequence[int]]]

    def narrow(self, conditions: Conditions, viewer: Viewer) -> None:
        """Keep the records wanted, among those of the resource's table."""
        for part in self.condition.parts:
            conditions.keep(part.sql(self.resource.table, viewer, conditions.place))

    async def check(self, viewer: Viewer) -> None:
        """Raise Invalid for an id that the viewer knows no record by. At most one query."""
        if not self.named:
            return
        conditions = Conditions()
        texts = [
            f"SELECT {number} AS number, id FROM {to.table} WHERE id = ANY({conditions.place(list(ids))}::bigint[])"
            f" AND {to.visible_sql(viewer, to.table)}"
            for number, (_, to, ids) in enumerate(self.named)
        ]
        rows = await database.execute(" UNION ALL ".join(texts), conditions.values)
        there = {(row["number"], row["id"]) for row in rows}
        wrong: dict[str, list[str]] = {}
        for number, (name, to, ids) in enumerate(self.named):
            for key in ids:
                if (number, key) not in there:
                    wrong.setdefault(name, []).append(f"There is no {to.entity} {key}.")
        if wrong:
            raise Invalid(wrong)


def read(resource: Resource, given: Mapping[str, str], more: More = NO_MORE) -> Filters:
    """The filters in query parameters. Raises Invalid that names each that is wrong."""
    reader = _Reader(resource, more)
    parts: list[Condition] = []
    wrong: dict[str, list[str]] = {}
    for name, text in given.items():
        try:
            parts.extend(reader.tree(text) if name == FILTER else [reader.condition(name, text, name)])
        except Mistake as mistake:
            wrong[name] = [str(mistake)]
    if wrong:
        raise Invalid(wrong)
    return Filters(resource, Group(AND, parts), reader.named)


class _Reader:
    """Reads conditions and counts them."""

    def __init__(self, resource: Resource, more: More) -> None:
        self.named: list[tuple[str, Resource, Sequence[int]]] = []
        self._resource = resource
        self._more = more
        self._presets = {preset.name: preset for preset in resource.presets}
        self._count = 0

    def condition(self, name: str, given: str | Sequence[str], source: str) -> Condition:
        self._count += 1
        if self._count > MOST_CONDITIONS:
            raise Mistake(f"At most {MOST_CONDITIONS} conditions can be given.")
        if preset := self._presets.get(name):
            if not isinstance(given, str):
                raise Mistake("Must be true or false.")
            return Chosen(preset) if Flag().read_text(given) else Group(AND, ())
        try:
            operand, word = find(self._resource, name, self._more)
        except Unknown:
            raise Mistake(self._allowed(name)) from None
        lookup = operand.lookups.get(word)
        if lookup is None:
            raise Mistake(_known(operand, word, self._more))
        value = lookup.read(given)
        if operand.reference and word != "isnull":
            ids = value if isinstance(value, list) else [value]
            self.named.append((source, operand.reference.to, ids))
        return Comparison(operand, lookup, value)

    def _allowed(self, name: str) -> str:
        fields = ", ".join(operands(self._resource, self._more))
        presets = "".join(f", {preset}" for preset in self._presets)
        return (
            f"Unknown. There is no field or lookup such as {name!r} to filter by. Fields of {self._resource.path}:"
            f" {fields}{presets}; beside them: {', '.join(BESIDE)}."
        )

    def tree(self, text: str) -> Iterator[Condition]:
        """The conditions that are the parts of a tree in JSON."""
        if len(text) > LONGEST_TREE:
            raise Mistake(f"At most {LONGEST_TREE} characters can be given.")
        try:
            return iter(self._all(orjson.loads(text), 1))
        except orjson.JSONDecodeError as error:
            raise Mistake(f"Not valid JSON: {error.msg} at character {error.pos + 1}.") from None

    def _all(self, tree: object, level: int) -> list[Condition]:
        if not isinstance(tree, dict):
            raise Mistake('Must be a JSON object, such as {"or": [{"status": "new"}, {"priority": "high"}]}.')
        if level > DEEPEST_TREE:
            raise Mistake(f"At most {DEEPEST_TREE} levels can be given.")
        return [self._part(name, value, level) for name, value in tree.items()]

    def _part(self, name: str, value: object, level: int) -> Condition:
        if name == NOT:
            return Negation(Group(AND, self._all(value, level + 1)))
        if name in (AND, OR):
            if not isinstance(value, list) or not value:
                raise Mistake(f"{name} takes a list of JSON objects.")
            return Group(name, [Group(AND, self._all(one, level + 1)) for one in value])
        try:
            return self.condition(name, _text(value), FILTER)
        except Mistake as mistake:
            raise Mistake(f"{name}: {mistake}") from None


def _text(value: object) -> str | list[str]:
    """A JSON value as the text of a parameter."""
    if isinstance(value, list):
        return [_one(item) for item in value]
    return _one(value)


def _one(value: object) -> str:
    match value:
        case str():
            return value
        case bool() | int() | float():
            return orjson.dumps(value).decode()
        case None:
            raise Mistake("Null is asked for by isnull.")
        case _:
            raise Mistake("Must be a text, a number, true, false or a list of them.")


def _known(operand: Operand, word: str, more: More) -> str:
    """What to say when a value cannot be compared that way."""
    words = ", ".join(f"{operand.path}__{known}" if known else operand.path for known in operand.lookups)
    if not words:
        return f"{operand.path} cannot be compared."
    said = f"{operand.path} cannot be compared by {word or 'itself'}. It can be by: {words}."
    if operand.reference is None:
        return said
    beyond = ", ".join(operands(operand.reference.to, more, beyond=True))
    return f"{said} Or go on to one of: {beyond}."
