"""Parts of a list, and the envelope {count, next, previous, results} they come in.

By number: `page` and `page_size`. Or by cursor: `cursor=` begins at the first record, and `next` and `previous` lead on
with cursors that hold while others write. `count` says whether the list is counted exactly (as pages are), estimated
from the statistics of Postgres, or not at all (as after a cursor), when it is null.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from aiohttp import web
from yarl import URL

from hub.errors import NotFound, Refusal
from models.resources.kinds import Choice, Integer
from models.resources.mistakes import Invalid, Mistake
from models.resources.ordering import Order
from models.resources.selection import Row
from models.resources.window import Cursor, Window

DEFAULT_SIZE = 20
LARGEST_SIZE = 100

PAGE, PAGE_SIZE, CURSOR, COUNT = "page", "page_size", "cursor", "count"
PAGING = (PAGE, PAGE_SIZE, CURSOR, COUNT)

#: What a list may refuse: a page that is not there.
REFUSALS: tuple[type[Refusal], ...] = (NotFound,)


class Count(StrEnum):
    """How the records of a list are counted."""

    EXACT = "exact"
    ESTIMATE = "estimate"
    NONE = "none"


class Listed(Protocol):
    """A list of which parts can be shown."""

    @property
    def order(self) -> Order: ...

    async def rows(self, window: Window) -> Sequence[Row]:
        """A part of it, in its order; a row may know the `list_total`."""
        ...

    async def count(self) -> int: ...

    async def estimate(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of a list that was asked for: a page, numbered from 1, or what is beyond a cursor."""

    size: int
    count: Count = Count.EXACT
    number: int = 1
    #: The text of a cursor; empty at the beginning, None for a page.
    cursor: str | None = None

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size

    async def envelope(self, url: URL, of: Listed, show: Callable[[Row], dict[str, Any]]) -> dict[str, Any]:
        """What a list answers; `url` is the request's own. Raises NotFound for a page beyond the last, and Invalid."""
        after = self._after(of.order)
        window = Window(order=of.order, limit=self.size + 1, offset=self.offset, after=after)
        rows = await of.rows(window)
        if not rows and self.number > 1:
            raise NotFound("Invalid page.")
        more = len(rows) > self.size
        # One more was read than is shown, to see whether there is one: beyond the last, or before the first.
        shown = rows[more:] if window.backward else rows[: self.size]
        return {
            "count": await self._counted(of, rows, more),
            **(self._numbered(url, more) if self.cursor is None else self._placed(url, of.order, shown, after, more)),
            "results": [show(row) for row in shown],
        }

    def _after(self, order: Order) -> Cursor | None:
        try:
            return Cursor.read(self.cursor, order) if self.cursor else None
        except Mistake as mistake:
            raise Invalid({CURSOR: [str(mistake)]}) from None

    async def _counted(self, of: Listed, rows: Sequence[Row], more: bool) -> int | None:
        if self.count is Count.NONE:
            return None
        if rows and "list_total" in rows[0]:
            return int(rows[0]["list_total"])
        if not self.cursor and not more:
            return self.offset + len(rows)
        if self.count is Count.EXACT:
            return await of.count()
        return max(await of.estimate(), self.offset + len(rows))

    def _numbered(self, url: URL, more: bool) -> dict[str, str | None]:
        before = url.without_query_params(PAGE) if self.number == 2 else url.update_query({PAGE: self.number - 1})
        return {
            "next": str(url.update_query({PAGE: self.number + 1})) if more else None,
            "previous": str(before) if self.number > 1 else None,
        }

    def _placed(
        self, url: URL, order: Order, shown: Sequence[Row], after: Cursor | None, more: bool
    ) -> dict[str, str | None]:
        def at(row: Row, backward: bool) -> str:
            return str(url.update_query({CURSOR: Cursor.at(row, order, backward=backward).text(order)}))

        if not shown:
            return {"next": None, "previous": None}
        backward = after is not None and after.backward
        return {
            "next": at(shown[-1], False) if more or backward else None,
            "previous": at(shown[0], True) if (more if backward else after is not None) else None,
        }


def query(request: web.Request) -> dict[str, str]:
    """The query parameters. Raises Invalid for one that stands there twice."""
    if twice := {name for name in request.query if len(request.query.getall(name)) > 1}:
        raise Invalid({name: ["Give it once."] for name in twice})
    return dict(request.query)


def allowed(given: Mapping[str, str], names: Collection[str]) -> None:
    """Raise Invalid for a query parameter that is none of these."""
    if unknown := [name for name in given if name not in names]:
        raise Invalid({name: [f"Unknown parameter. Allowed: {', '.join(names)}."] for name in unknown})


def part(given: Mapping[str, str]) -> Part:
    """The part asked for. Raises NotFound for a page that cannot be, Invalid for the rest."""
    if PAGE in given and CURSOR in given:
        raise Invalid({CURSOR: ["Give a page or a cursor, not both."]})
    cursor = given.get(CURSOR)
    usual = Count.EXACT if cursor is None else Count.NONE
    return Part(number=number(given), size=size(given), cursor=cursor, count=_count(given.get(COUNT, usual)))


def number(given: Mapping[str, str]) -> int:
    """The page asked for. Raises NotFound for one that cannot be."""
    try:
        return Integer(1).read_text(given.get(PAGE, "1"))
    except Mistake:
        raise NotFound("Invalid page.") from None


def size(
    given: Mapping[str, str], name: str = PAGE_SIZE, usual: int = DEFAULT_SIZE, largest: int = LARGEST_SIZE
) -> int:
    """How many records a part has. Raises Invalid."""
    try:
        return Integer(1, largest).read_text(given.get(name, str(usual)))
    except Mistake as mistake:
        raise Invalid({name: [str(mistake)]}) from None


def _count(text: str) -> Count:
    try:
        return Count(Choice(Count).read_text(text))
    except Mistake as mistake:
        raise Invalid({COUNT: [str(mistake)]}) from None
