"""Which records of a kind somebody wants, in which order: filters, search and ordering as query parameters say it.

Lists show a part of them. Jobs keep the parameters, and read them again for the same viewer when they get to work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from models import database
from models.access import Viewer
from models.resources import filters
from models.resources.conditions import Conditions
from models.resources.filters import Filters
from models.resources.kinds import SERIAL, Integer
from models.resources.mistakes import Invalid, Mistake
from models.resources.operands import NO_MORE, More
from models.resources.ordering import Key, Order, order
from models.resources.resource import SEARCHED, Resource
from models.resources.searching import SEARCH, Search
from models.resources.selection import Row
from models.resources.window import Window

ORDERING = "ordering"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The records of a kind that a viewer wants."""

    resource: Resource
    viewer: Viewer
    filters: Filters
    search: Search | None
    order: Order
    #: Whether the best matches of the search come first, rather than an order that was given.
    ranked: bool

    @staticmethod
    def read(resource: Resource, given: Mapping[str, str], viewer: Viewer, more: More = NO_MORE) -> Wanted:
        """What query parameters ask for; blank ones of search and ordering ask for nothing. Raises Invalid."""
        searchable = bool(resource.used(SEARCHED))
        beside = {name: given[name] for name in (SEARCH, ORDERING) if name in given and (searchable or name != SEARCH)}
        wrong: dict[str, list[str]] = {}
        search, by = None, beside.get(ORDERING)
        try:
            search = Search.read(resource, beside.get(SEARCH, ""))
        except Mistake as mistake:
            wrong[SEARCH] = [str(mistake)]
        ranked = search is not None and by is None
        try:
            usual = resource.order
            ordered = _best_first(resource) if ranked else order(resource, usual if by is None else by, viewer, more)
        except Mistake as mistake:
            wrong[ORDERING] = [str(mistake)]
        try:
            kept = filters.read(resource, {name: text for name, text in given.items() if name not in beside}, more)
        except Invalid as invalid:
            wrong |= invalid.messages
        if wrong:
            raise Invalid(wrong)
        return Wanted(resource=resource, viewer=viewer, filters=kept, search=search, order=ordered, ranked=ranked)

    async def check(self) -> None:
        """Raise Invalid for ids of records that are not there for the viewer."""
        await self.filters.check(self.viewer)

    @property
    def conditions(self) -> Conditions:
        """The conditions on the resource's table that keep what is wanted, of what the viewer may see."""
        conditions = self._narrowed
        if self.search:
            self.search.narrow(conditions, self.viewer)
        return conditions

    async def rows(self, window: Window) -> Sequence[Row]:
        """A part of the list as a list shows records, in its order; ranked rows have the `list_total`."""
        table = self.resource.table
        if self.search is not None and self.ranked:
            inner = self._narrowed
            best = await self.search.ranked(inner, self.viewer)
            conditions, source, also = inner.inside(), f'({best}) AS "{table}"', ["list_total"]
        else:
            conditions, source, also = self.conditions, f'"{table}"', []
        found = window.sql(", ".join(f'"{table}".{name}' for name in ("id", *also)), source, conditions)
        columns = [*window.columns, *also]
        rows = await self.resource.listed.found(found, conditions.values, columns, window.terms)
        return rows[::-1] if window.backward else rows

    async def count(self) -> int:
        """How many there are; of ranked ones, how many are ranked."""
        if self.search is not None and self.ranked:
            conditions = self._narrowed
            best = await self.search.ranked(conditions, self.viewer)
            (row,) = await database.query(f"SELECT count(*) FROM ({best}) AS best", conditions.values)
            return int(row["count"])
        conditions = self.conditions
        return await self.resource.access.count(conditions.sql, conditions.values)

    async def estimate(self) -> int:
        """About how many there are, by the statistics of Postgres."""
        conditions = self.conditions
        sql = f'EXPLAIN (FORMAT JSON) SELECT FROM "{self.resource.table}" WHERE {conditions.sql}'
        (row,) = await database.query(sql, conditions.values)
        (plan,) = orjson.loads(row["QUERY PLAN"])
        return int(plan["Plan"]["Plan Rows"])

    @property
    def _narrowed(self) -> Conditions:
        """The conditions without the search."""
        conditions = Conditions()
        conditions.visible(self.viewer, self.resource.entity, self.resource.table)
        if self.resource.sight is not None:
            conditions.keep(self.resource.sight.sql(self.viewer, self.resource.table))
        self.filters.narrow(conditions, self.viewer)
        return conditions


def _best_first(resource: Resource) -> Order:
    """By the score that the search gives, then the newest."""
    keys = ("score", Integer()), ("id", SERIAL)
    return [Key(name=name, kind=kind, sql=f'"{resource.table}".{name}', descending=True) for name, kind in keys]
