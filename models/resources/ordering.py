"""The order of a list: keys one after the other, nulls last either way, and the id, which makes it total."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.access import Viewer
from models.resources.kinds import Kind
from models.resources.lookups import orderable, sortable
from models.resources.mistakes import Mistake
from models.resources.operands import NO_MORE, More, find, operands
from models.resources.resource import Resource

MOST_KEYS = 5


@dataclass(frozen=True, kw_only=True)
class Key:
    """One thing to order by."""

    name: str
    kind: Kind
    #: Its SQL expression in the statement that orders.
    sql: str
    null: bool = False
    descending: bool = False

    @property
    def term(self) -> str:
        """Its name, with a minus if it descends."""
        return f"{'-' * self.descending}{self.name}"


#: The last key is the id, never null.
Order = Sequence[Key]


def total(keys: Sequence[Key], last: Key) -> Order:
    """An order that ends with the key that nothing shares, in the direction of the first unless it says one."""
    for place, key in enumerate(keys):
        if key.name == last.name:
            return keys[: place + 1]
    return (*keys, replace(last, descending=bool(keys) and keys[0].descending))


def order(resource: Resource, text: str, viewer: Viewer, more: More = NO_MORE) -> Order:
    """The order that a query parameter asks for, of the records in the resource's table. Raises Mistake."""
    terms = [term.strip() for term in text.split(",")]
    keys = [_key(resource, term, viewer, more) for term in terms]
    if len(keys) > MOST_KEYS or len({key.name for key in keys}) < len(keys):
        raise Mistake(f"At most {MOST_KEYS} fields can be given, each once.")
    table = resource.table
    return total(keys, Key(name="id", kind=resource.key, sql=f'"{table}".id'))


def orders(resource: Resource, more: More = NO_MORE) -> list[str]:
    """The fields that a list can be ordered by."""
    return [name for name, operand in operands(resource, more).items() if orderable(operand.kind)]


def _key(resource: Resource, term: str, viewer: Viewer, more: More) -> Key:
    name = term.removeprefix("-")
    try:
        operand, rest = find(resource, name, more)
        if rest or not orderable(operand.kind):
            raise Mistake
    except Mistake:
        allowed = ", ".join(orders(resource, more))
        raise Mistake(f"Cannot order by {term!r}. Allowed: {allowed}; a minus reverses.") from None
    return Key(
        name=name,
        kind=operand.kind,
        sql=sortable(operand.kind, operand.value(resource.table, viewer)),
        null=operand.nullable,
        descending=term != name,
    )
