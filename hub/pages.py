"""Pages of a list: `page`, `page_size`, `ordering`, and the envelope {count, next, previous, results}."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from yarl import URL

from hub.errors import NotFound
from models.resources.kinds import Integer
from models.resources.mistakes import Invalid, Mistake

DEFAULT_SIZE = 20
LARGEST_SIZE = 100

PAGE, PAGE_SIZE, ORDERING = "page", "page_size", "ordering"

#: What a list may refuse: a page that is not there.
REFUSALS = (NotFound,)


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a list. Numbers begin at 1."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size

    def within(self, count: int) -> Page:
        """This page of a list of so many. Raises NotFound if the list ends before it; page 1 is always there."""
        if self.number > 1 and self.offset >= count:
            raise NotFound("Invalid page.")
        return self

    def envelope(self, url: URL, count: int, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What a list answers; `url` is the request's own."""
        last = self.offset + self.size >= count
        return {
            "count": count,
            "next": None if last else str(url.update_query({PAGE: self.number + 1})),
            "previous": None if self.number == 1 else str(_previous(url, self.number - 1)),
            "results": results,
        }


def _previous(url: URL, number: int) -> URL:
    return url.without_query_params(PAGE) if number == 1 else url.update_query({PAGE: number})


def query(request: web.Request, allowed: Collection[str]) -> dict[str, str]:
    """The query parameters. Raises Invalid for one that is not allowed or stands there twice."""
    wrong = {}
    for name in request.query:
        if name not in allowed:
            wrong[name] = [f"Unknown parameter. Allowed: {', '.join(allowed)}."]
        elif len(request.query.getall(name)) > 1:
            wrong[name] = ["Give it once."]
    if wrong:
        raise Invalid(wrong)
    return dict(request.query)


def page(given: Mapping[str, str]) -> Page:
    """The page asked for. Raises NotFound for a page that cannot be, Invalid for a bad size."""
    try:
        number = Integer(1).read_text(given.get(PAGE, "1"))
    except Mistake:
        raise NotFound("Invalid page.") from None
    try:
        size = Integer(1, LARGEST_SIZE).read_text(given.get(PAGE_SIZE, str(DEFAULT_SIZE)))
    except Mistake as mistake:
        raise Invalid({PAGE_SIZE: [str(mistake)]}) from None
    return Page(number=number, size=size)


def ordering(given: Mapping[str, str], allowed: Collection[str], default: str) -> list[str]:
    """Fields to order by, each with a minus for descending, the id last so that the order is total.

    Raises Invalid for one that is not allowed.
    """
    terms = [term.strip() for term in given.get(ORDERING, default).split(",")]
    for term in terms:
        if term.removeprefix("-") not in allowed:
            raise Invalid({ORDERING: [f"Cannot order by {term!r}. Allowed: {', '.join(allowed)}; a minus reverses."]})
    first = terms[0]
    if "id" not in (term.removeprefix("-") for term in terms):
        terms.append("-id" if first.startswith("-") else "id")
    return terms
