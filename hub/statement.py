"""A list that one SELECT over a derived table gives: history and timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from models.resources.conditions import Conditions
from models.resources.ordering import Order
from models.resources.selection import Row
from models.resources.window import Window


@dataclass(frozen=True, kw_only=True)
class Statement:
    """The rows of a source that meet conditions, in an order."""

    pool: asyncpg.Pool
    columns: str
    source: str
    conditions: Conditions
    order: Order

    async def rows(self, window: Window) -> Sequence[Row]:
        """A part of it, in its order."""
        conditions = self.conditions.copy()
        sql = window.sql(self.columns, self.source, conditions)
        rows: list[Row] = await self.pool.fetch(sql, *conditions.values)
        return rows[::-1] if window.backward else rows

    async def count(self) -> int:
        """How many there are."""
        sql = f"SELECT count(*) FROM {self.source} WHERE {self.conditions.sql}"
        return int(await self.pool.fetchval(sql, *self.conditions.values))

    async def estimate(self) -> int:
        """About how many there are, by the statistics of Postgres."""
        sql = f"EXPLAIN (FORMAT JSON) SELECT FROM {self.source} WHERE {self.conditions.sql}"
        (plan,) = orjson.loads(await self.pool.fetchval(sql, *self.conditions.values))
        return int(plan["Plan"]["Plan Rows"])
