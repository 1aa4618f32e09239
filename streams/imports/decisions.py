"""What becomes of rows, judged against each other and the database: a set of them with a few statements.

The judge is asked before anything is written, and again as it is, with the records locked; only the second counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from models.access import Action, Viewer, may, visible_sql
from models.imports.table import Table, folded, judged, rounded
from models.resources.mistakes import Mistake
from models.resources.resource import MISSING, REQUIRED, Field, Reference
from streams import exact

#: What records are called by beside their id, by what access rules call them; the first that fits counts.
NATURAL: Mapping[str, Sequence[str]] = {"user": ("username", "email"), "contact": ("email",)}

#: The column with whoever is to look after a record.
ASSIGNED = "assigned_to_id"

DUPLICATES = """
SELECT r.n FROM unnest($2::int[], $3::text[]) AS r(n, key) CROSS JOIN LATERAL (
    SELECT FROM import_rows o WHERE o.import_id = $1 AND md5(o.key) = md5(r.key) AND o.key = r.key
        AND o.n {beyond} r.n AND o.errors IS NULL LIMIT 1) AS other
"""
SUMS = """
SELECT r.n, o.n AS of, o.sums FROM unnest($2::int[], $3::text[]) AS r(n, key) CROSS JOIN LATERAL (
    SELECT n, sums FROM import_rows o WHERE o.import_id = $1 AND md5(o.key) = md5(r.key) AND o.key = r.key
        AND o.errors IS NULL ORDER BY o.n OFFSET 0) AS o
"""
BAD = """
SELECT r.n, min(o.n) AS bad FROM unnest($2::int[], $3::text[]) AS r(n, key)
JOIN import_rows o ON o.import_id = $1 AND o.key = r.key AND o.errors IS NOT NULL GROUP BY r.n
"""


#: Records by the key of the rows that are about them.
There = dict[str, list[Mapping[str, Any]]]


@dataclass(slots=True)
class Waiting:
    """A row that could be read."""

    n: int
    key: str | None
    values: dict[str, Any]
    sums: dict[str, Any]
    #: Whom it gives the record that was not theirs.
    given: int | None = None


@dataclass
class Verdict:
    """What is to become of some rows."""

    creates: list[Waiting] = field(default_factory=list)
    #: With the id of the record.
    updates: list[tuple[Waiting, int]] = field(default_factory=list)
    #: What is wrong, by row and field.
    refused: dict[int, dict[str, str]] = field(default_factory=dict)
    #: Rows for which another with the same key counts.
    duplicates: int = 0

    def given(self, viewer: Viewer) -> Counter[int]:
        """How many records others than the viewer were given by the rows that were taken."""
        rows = (*self.creates, *(row for row, _ in self.updates))
        return Counter(r.given for r in rows if r.given not in (None, viewer.id) and r.n not in self.refused)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Who judges the rows of an import, for whom."""

    connection: asyncpg.Connection
    import_id: UUID
    table: Table
    viewer: Viewer
    #: Whether what is judged is written next: records it rests on are locked.
    writing: bool = False

    async def verdict(self, rows: Sequence[Waiting]) -> Verdict:
        """What is to become of these rows."""
        verdict = Verdict()
        rows = await self._first_of_key(rows, verdict)
        await self._add_up(rows, verdict)
        there = await self._there(rows)
        for reference in self.table.references:
            await self._resolve(reference, rows, there, verdict)
        for row in rows:
            try:
                self._place(row, there.get(row.key or "", []), verdict)
            except Mistake as mistake:
                verdict.refused.setdefault(row.n, {})[self.table.choices.key or "row"] = str(mistake)
        return verdict

    async def _first_of_key(self, rows: Sequence[Waiting], verdict: Verdict) -> list[Waiting]:
        """The rows that count of those with the same key."""
        keyed = [row for row in rows if row.key is not None]
        if not keyed:
            return list(rows)
        beyond = ">" if self.table.choices.duplicates == "last" else "<"
        found = await self.connection.fetch(
            DUPLICATES.format(beyond=beyond), self.import_id, [r.n for r in keyed], [r.key for r in keyed]
        )
        again = {row["n"] for row in found}
        verdict.duplicates = len(again)
        return [row for row in rows if row.n not in again]

    async def _add_up(self, rows: Sequence[Waiting], verdict: Verdict) -> None:
        if not self.table.sums:
            return
        keyed = [row for row in rows if row.key is not None]
        numbers, keys = [row.n for row in keyed], [row.key for row in keyed]
        bad = await self.connection.fetch(BAD, self.import_id, numbers, keys)
        for row in bad:
            verdict.refused[row["n"]] = {"row": f"Row {row['bad']}, which belongs to it, cannot be read."}
        totals: dict[int, dict[str, Decimal]] = {}
        for part in await self.connection.fetch(SUMS, self.import_id, numbers, keys):
            total = totals.setdefault(part["n"], {})
            for name, number in exact.loads(part["sums"]).items():
                total[name] = total.get(name, Decimal(0)) + Decimal(number)
        for row in rows:
            for name, rule in self.table.sums.items():
                total = totals.get(row.n, row.sums)
                self._store_sum(row, name, rounded(Decimal(total[name]), rule.places), verdict)

    def _store_sum(self, row: Waiting, name: str, number: Decimal, verdict: Verdict) -> None:
        one = self.table.resource.writable[name]
        try:
            assert isinstance(one, Field)
            row.values[one.column] = judged(one, one.kind.read_text(format(number, "f")))
        except Mistake as mistake:
            verdict.refused.setdefault(row.n, {})[name] = str(mistake)

    async def _resolve(self, reference: Reference, rows: Sequence[Waiting], there: There, verdict: Verdict) -> None:
        """Put ids in the place of what the file calls records. What a record refers to already may stay."""
        column = reference.column
        named = {str(row.values[column]) for row in rows if row.values.get(column) is not None}
        known = await self._named(reference, named) if named else {}
        for row in rows:
            if (text := row.values.get(column)) is None:
                continue
            held = [one[column] for one in there.get(row.key or "", []) if str(one[column]) == str(text)]
            try:
                row.values[column] = held[0] if held else _only(known.get(folded(str(text)), []), reference, str(text))
            except Mistake as mistake:
                verdict.refused.setdefault(row.n, {})[reference.name] = str(mistake)

    async def _named(self, reference: Reference, texts: Iterable[str]) -> dict[str, list[int]]:
        """Ids of the records the viewer may refer to, by id and by what they are called, the best match only."""
        to = reference.to
        natural = NATURAL.get(to.entity, ())
        ids = [int(text) for text in texts if text.isdecimal() and len(text) < 19]
        names = [folded(text) for text in texts]
        matches = " OR ".join(["id = ANY($1)", *(f"lower({column}) = ANY($2)" for column in natural)])
        seen = "TRUE" if to.shared else visible_sql(self.viewer, to.entity, to.table)
        called = "".join(f", lower({column}) AS {column}" for column in natural)
        rows = await self.connection.fetch(
            # The names are looked at even where there are none, so that the statement is the same.
            f"SELECT id{called} FROM {to.table} WHERE ({matches}) AND {seen} AND $2::text[] IS NOT NULL"
            f"{' ORDER BY id FOR KEY SHARE' if self.writing else ''}",
            ids,
            names,
        )
        found: dict[str, list[int]] = {str(row["id"]): [row["id"]] for row in rows}
        for column in natural:
            by_name: dict[str, list[int]] = {}
            for row in rows:
                by_name.setdefault(row[column], []).append(row["id"])
            found = {**by_name, **found}
        return found

    async def _there(self, rows: Sequence[Waiting]) -> There:
        """The records that are there already, as the access rules look at them, by the rows' keys."""
        resource, key = self.table.resource, self.table.choices.key
        keys = [row.key for row in rows if row.key is not None]
        if not keys:
            return {}
        by_id = key == "id"
        column = "id" if by_id else resource.writable[key].column
        paths = ", ".join(path for path in resource.access_paths())
        found = await self.connection.fetch(
            f"SELECT {'id::text' if by_id else f'lower({column})'} AS key, {paths} FROM {resource.table}"
            f" WHERE {'id' if by_id else f'lower({column})'} = ANY($1)"
            f"{' ORDER BY id FOR UPDATE' if self.writing else ''}",
            [int(one) for one in keys] if by_id else keys,
        )
        there: There = {}
        for row in found:
            there.setdefault(row["key"], []).append(row)
        return there

    def _place(self, row: Waiting, there: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
        """Say whether a row makes a record or changes one. Raises Mistake if it may do neither."""
        if row.n in verdict.refused:
            return
        resource, choices, viewer = self.table.resource, self.table.choices, self.viewer
        seen = [one for one in there if resource.seen(one, "", viewer)]
        if choices.update_existing and seen:
            if len(seen) > 1:
                raise Mistake(f"{len(seen)} records have this {choices.key}; name the one that is meant by its id.")
            if not may(viewer, Action.UPDATE, resource.entity, seen[0]):
                raise Mistake(f"You may not change {resource.entity} {seen[0]['id']}.")
            row.given = _given(row, seen[0].get(ASSIGNED))
            verdict.updates.append((row, seen[0]["id"]))
            return
        if choices.key == "id" and row.key is not None:
            raise Mistake(f"There is no {resource.entity} {row.key}.")
        if there and resource.model._meta.fields_map[choices.key].unique:
            raise Mistake(f"A {resource.entity} with this {choices.key} already exists.")
        self._create(row, verdict)

    def _create(self, row: Waiting, verdict: Verdict) -> None:
        resource = self.table.resource
        missing = {name: MISSING for name, one in resource.used(REQUIRED).items() if row.values.get(one.column) is None}
        if missing:
            verdict.refused[row.n] = missing
            return
        if resource.author:
            row.values[f"{resource.author}_id"] = self.viewer.id
        if not may(self.viewer, Action.CREATE, resource.entity, row.values):
            raise Mistake(f"You may not create this {resource.entity}.")
        row.given = _given(row, None)
        verdict.creates.append(row)


def _given(row: Waiting, before: int | None) -> int | None:
    assignee = row.values.get(ASSIGNED)
    return None if assignee == before else assignee


def _only(found: Sequence[int], reference: Reference, text: str) -> int:
    if not found:
        raise Mistake(f"There is no {reference.to.entity} {text[:200]!r}.")
    if len(found) > 1:
        raise Mistake(f"{len(found)} records are called {text[:200]!r}; name the one that is meant by its id.")
    return found[0]
