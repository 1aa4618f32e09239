"""The parameters that lists have in common, in the document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from hub import pages
from hub.openapi.operation import Parameter
from hub.openapi.shapes import TEXT
from models.resources.kinds import Choice, Day, Integer, Kind, Moment, Schema, Text
from models.resources.lookups import MOST_VALUES, Lookup, Takes
from models.resources.operands import Operand
from models.resources.wanted import ORDERING

PAGES = (
    Parameter(name=pages.PAGE, shape=Integer(1), about="From 1 on. A page after the last one is 404."),
    Parameter(name=pages.PAGE_SIZE, shape=Integer(1, pages.LARGEST_SIZE)),
)

PAGING = (
    *PAGES,
    Parameter(
        name=pages.CURSOR,
        about="In place of a page, good while others write: empty at first, then as `next` and `previous` have it.",
    ),
    Parameter(name=pages.COUNT, shape=Choice(pages.Count), about="How the list is counted; after a cursor it is not."),
)

_WHEN: Schema = {"anyOf": [Day().schema(given=True), Moment().schema(given=True)]}
#: In a schema: what can stand in a list that is separated by commas as it is, without quotes.
PLAINLY_SEPARATED = r'^[^,"\x00\r\n]*$'

#: What `Conditions.during` takes.
DURING = (
    Parameter(name="start_date", shape=_WHEN, about="Not before it; a date means from its beginning, in UTC."),
    Parameter(name="end_date", shape=_WHEN, about="Not after it; a date means to its end, in UTC."),
)


def equal_to(kinds: Mapping[str, Kind]) -> tuple[Parameter, ...]:
    """Filters that keep what has this value."""
    return tuple(Parameter(name=name, shape=kind.schema(given=True)) for name, kind in kinds.items())


def compared(operand: Operand) -> Iterator[Parameter]:
    """Filters by a value of a record, in every way it can be compared."""
    for word, lookup in operand.lookups.items():
        name = f"{operand.path}__{word}" if word else operand.path
        yield Parameter(name=name, shape=_operand(lookup))


def _operand(lookup: Lookup) -> Schema:
    one = lookup.kind.schema(given=True)
    if lookup.takes is Takes.ONE:
        return one
    if isinstance(lookup.kind, Text):
        one = {**one, "pattern": PLAINLY_SEPARATED}
    least, most = (2, 2) if lookup.takes is Takes.TWO else (1, MOST_VALUES)
    return {"type": "array", "items": one, "minItems": least, "maxItems": most}


def ordering_by(time: str) -> Parameter:
    """The parameter `ordering` of a list that is ordered by a time and nothing else."""
    return Parameter(name=ORDERING, shape={**TEXT, "enum": [time, f"-{time}"]}, about="A minus reverses.")


def ordering(allowed: Iterable[str]) -> Parameter:
    """The parameter `ordering` of a list that can be ordered by these."""
    term = f"-?({'|'.join(allowed)})"
    about = "Fields with commas between; a minus reverses."
    return Parameter(name=ORDERING, shape={**TEXT, "pattern": f"^{term}(,{term})*$"}, about=about)
