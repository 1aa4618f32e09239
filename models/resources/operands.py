"""What conditions and orders look at: a value of a record, or of one that it refers to.

`contact__assigned_to__email` is a path: references, then a field. What the viewer may not see on the way is as if it
were not there, so that a value behind it is null. Only what lists show can be reached of records that are shared with
everybody. What else than fields can be named, such as custom fields, the caller gives as more operands by entity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from models.access import Viewer
from models.resources.kinds import Kind
from models.resources.lookups import Lookups, lookups, reference_lookups
from models.resources.mistakes import Mistake
from models.resources.resource import LISTED, Reference, Resource

#: References that a path may follow.
DEEPEST_PATH = 3

STEP = "__"


class Unknown(Mistake):
    """The record has no such field."""


@dataclass(frozen=True, kw_only=True)
class Operand:
    """A value of a record, by its name in a query string."""

    path: str
    kind: Kind
    #: Its SQL expression, for the alias of the table that has it.
    sql: Callable[[str], str]
    #: Whether it may be null in a record that is there.
    null: bool = True
    #: What it refers to, if it is a reference.
    reference: Reference | None = None
    #: The references that lead to it.
    through: tuple[Reference, ...] = ()

    @property
    def lookups(self) -> Lookups:
        """What it can be compared by."""
        return reference_lookups() if self.reference else lookups(self.kind)

    @property
    def nullable(self) -> bool:
        """Whether it may be null, or not be there."""
        return self.null or bool(self.through)

    def holds(self, test: Callable[[str], str], alias: str, viewer: Viewer) -> str:
        """The SQL condition that it is there for the viewer and passes a test of its expression."""

        def there(reference: Reference, inner: str, outer: str, then: str) -> str:
            return f"EXISTS (SELECT FROM {_join(reference, inner, outer, viewer)} AND {then})"

        return self._inside(there, test, alias)

    def value(self, alias: str, viewer: Viewer) -> str:
        """The SQL expression of its value, null unless it is there for the viewer."""

        def value(reference: Reference, inner: str, outer: str, then: str) -> str:
            return f"(SELECT {then} FROM {_join(reference, inner, outer, viewer)})"

        return self._inside(value, lambda sql: sql, alias)

    def _inside(self, step: Callable[[Reference, str, str, str], str], last: Callable[[str], str], alias: str) -> str:
        aliases = [alias, *(f"via{depth}" for depth in range(1, len(self.through) + 1))]
        text = last(self.sql(aliases[-1]))
        for depth in reversed(range(len(self.through))):
            text = step(self.through[depth], aliases[depth + 1], aliases[depth], text)
        return text


#: Operands that are not fields, by entity and path.
More = Mapping[str, Mapping[str, Operand]]
NO_MORE: More = {}


def find(resource: Resource, path: str, more: More = NO_MORE) -> tuple[Operand, str]:
    """The operand that a path leads to, and what is left of the path: the name of a lookup, or nothing.

    Raises Unknown for no field of the record, Mistake for what is wrong further on.
    """
    at, steps = resource, path.split(STEP)
    through: tuple[Reference, ...] = ()
    while True:
        known = operands(at, more, beyond=bool(through))
        size = next((size for size in range(len(steps), 0, -1) if STEP.join(steps[:size]) in known), 0)
        if not size:
            if not through:
                raise Unknown
            raise Mistake(f"Unknown. The fields of {at.path} are: {', '.join(known)}.")
        found = known[STEP.join(steps[:size])]
        rest = STEP.join(steps[size:])
        if found.reference is None or not _goes_on(found.reference.to, rest, more):
            name = path.removesuffix(rest).removesuffix(STEP) if rest else path
            return replace(found, path=name, through=through), rest
        through = (*through, found.reference)
        if len(through) > DEEPEST_PATH:
            raise Mistake(f"A path may follow at most {DEEPEST_PATH} references.")
        at, steps = found.reference.to, steps[size:]


def operands(resource: Resource, more: More = NO_MORE, *, beyond: bool = False) -> dict[str, Operand]:
    """The operands of a kind of record by name; `beyond` a reference only those that it shows, if it is shared."""
    listed = beyond and resource.shared
    return {**_declared(resource, listed), **({} if listed else more.get(resource.entity, {}))}


def reachable(resource: Resource, more: More = NO_MORE, *, depth: int = 1) -> Iterator[Operand]:
    """Every operand, following so many references."""
    yield from _reachable(resource, more, depth, "", ())


def _reachable(
    resource: Resource, more: More, depth: int, at: str, through: tuple[Reference, ...]
) -> Iterator[Operand]:
    for name, operand in operands(resource, more, beyond=bool(through)).items():
        yield replace(operand, path=at + name, through=through)
        if operand.reference and depth:
            inner = (*through, operand.reference)
            yield from _reachable(operand.reference.to, more, depth - 1, f"{at}{name}{STEP}", inner)


@cache
def _declared(resource: Resource, listed: bool) -> Mapping[str, Operand]:
    columns = resource.model._meta.fields_map
    return {
        name: Operand(
            path=name,
            kind=field.kind,
            sql=_column(field.column),
            null=columns[name].null,
            reference=field if isinstance(field, Reference) else None,
        )
        for name, field in resource.stored.items()
        if not listed or LISTED in field.use
    }


def _column(name: str) -> Callable[[str], str]:
    return lambda alias: f'"{alias}"."{name}"'


def _goes_on(to: Resource, rest: str, more: More) -> bool:
    """Whether what is left of a path is meant for the record referred to, rather than a lookup of its id."""
    return bool(rest) and (STEP in rest or rest in operands(to, more, beyond=True))


def _join(reference: Reference, inner: str, outer: str, viewer: Viewer) -> str:
    seen = reference.to.visible_sql(viewer, inner)
    return f'"{reference.to.table}" AS "{inner}" WHERE "{inner}".id = "{outer}"."{reference.column}" AND {seen}'
