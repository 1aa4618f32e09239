"""The parameters that lists have in common, in the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hub import pages
from hub.openapi.operation import Parameter
from hub.openapi.shapes import TEXT
from models.resources.kinds import Day, Integer, Kind, Moment

PAGING = (
    Parameter(name=pages.PAGE, shape=Integer(1), about="From 1 on. A page after the last one is 404."),
    Parameter(name=pages.PAGE_SIZE, shape=Integer(1, pages.LARGEST_SIZE)),
)

_WHEN = {"anyOf": [Day().schema(given=True), Moment().schema(given=True)]}
#: What `Conditions.during` takes.
DURING = (
    Parameter(name="start_date", shape=_WHEN, about="Not before it; a date means from its beginning, in UTC."),
    Parameter(name="end_date", shape=_WHEN, about="Not after it; a date means to its end, in UTC."),
)


def equal_to(kinds: Mapping[str, Kind]) -> tuple[Parameter, ...]:
    """Filters that keep what has this value."""
    return tuple(Parameter(name=name, shape=kind.schema(given=True)) for name, kind in kinds.items())


def ordering(allowed: Iterable[str]) -> Parameter:
    """The parameter `ordering` of a list that can be ordered by these."""
    term = f"-?({'|'.join(allowed)})"
    about = "Fields with commas between; a minus reverses."
    return Parameter(name=pages.ORDERING, shape={**TEXT, "pattern": f"^{term}(,{term})*$"}, about=about)
