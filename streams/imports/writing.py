"""Rows that are good, written: new records by one statement, changed ones by another, and a note of each for undo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg

from models.imports.table import Table
from models.resources.resource import Resource
from models.wire import dump
from streams.imports.decisions import Verdict, Waiting

#: What rows do not say of a new record is its column's default; a record that others made since is left to them.
CREATE = """
WITH given AS MATERIALIZED (
    SELECT n, values, nextval(pg_get_serial_sequence('{table}', 'id')) AS id
    FROM unnest($1::int[], $2::jsonb[]) AS row(n, values)
), blank AS MATERIALIZED (
    SELECT jsonb_populate_record(NULL::{table}, $3) AS row
), made AS (
    INSERT INTO {table} (id, {columns})
    SELECT given.id, {made} FROM given, blank, LATERAL jsonb_populate_record(blank.row, given.values) AS record
    ORDER BY given.n ON CONFLICT DO NOTHING RETURNING id
)
SELECT n, id FROM given JOIN made USING (id) ORDER BY n
"""

#: The records are locked already, so what is read of them is what is changed.
UPDATE = """
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::int[], $2::bigint[], $3::jsonb[]) AS row(n, id, values)
), wanted AS MATERIALIZED (
    SELECT given.n AS import_row, record.*
    FROM given JOIN {table} AS old USING (id), LATERAL jsonb_populate_record(old, given.values) AS record
    WHERE ({old}) IS DISTINCT FROM ({made})
)
UPDATE {table} AS t SET {changes} FROM wanted WHERE t.id = wanted.id RETURNING wanted.import_row AS n, t.id
"""

NOTE = """
INSERT INTO import_changes (import_id, n, record, created, until)
SELECT $1, n, id, $4, (SELECT max(id) FROM events) FROM unnest($2::int[], $3::bigint[]) AS change(n, id)
"""


async def write(connection: asyncpg.Connection, import_id: UUID, table: Table, verdict: Verdict) -> dict[str, int]:
    """Write what a verdict says. Rows that the database does not take after all are added to those refused."""
    created = await _create(connection, import_id, table, verdict)
    updated = await _update(connection, import_id, table, verdict)
    refused = sum(1 for row, _ in verdict.updates if row.n in verdict.refused)
    return {"created": created, "updated": updated, "unchanged": len(verdict.updates) - updated - refused}


async def _create(connection: asyncpg.Connection, import_id: UUID, table: Table, verdict: Verdict) -> int:
    if not verdict.creates:
        return 0
    resource = table.resource
    columns = [*table.stored, *([f"{resource.author}_id"] if resource.author else [])]
    sql = CREATE.format(
        table=resource.table,
        columns=", ".join(f'"{c}"' for c in columns),
        made=", ".join(f'record."{c}"' for c in columns),
    )
    rows = verdict.creates
    made = await connection.fetch(sql, [r.n for r in rows], _values(rows), dump(_blank(resource, columns)).decode())
    there = {row["n"] for row in made}
    for row in rows:
        if row.n not in there:
            verdict.refused[row.n] = {
                "row": f"Another {resource.entity} was made meanwhile that this one goes against."
            }
    await _note(connection, import_id, made, created=True)
    return len(made)


async def _update(connection: asyncpg.Connection, import_id: UUID, table: Table, verdict: Verdict) -> int:
    """Change records; should one not be taken, each by itself."""
    if not verdict.updates or not table.stored:
        return 0
    try:
        async with connection.transaction():
            changed = await _change(connection, table, verdict.updates)
    except asyncpg.UniqueViolationError:
        changed = []
        for row, id in verdict.updates:
            try:
                async with connection.transaction():
                    changed += await _change(connection, table, [(row, id)])
            except asyncpg.UniqueViolationError:
                verdict.refused[row.n] = {"row": f"Another {table.resource.entity} has what must not be twice."}
    await _note(connection, import_id, changed, created=False)
    return len(changed)


async def _change(
    connection: asyncpg.Connection, table: Table, updates: Sequence[tuple[Waiting, int]]
) -> list[asyncpg.Record]:
    names = table.stored
    sql = UPDATE.format(
        table=table.resource.table,
        old=", ".join(f'old."{c}"' for c in names),
        made=", ".join(f'record."{c}"' for c in names),
        changes=", ".join(f'"{c}" = wanted."{c}"' for c in names),
    )
    rows = [row for row, _ in updates]
    changed: list[asyncpg.Record] = await connection.fetch(
        sql, [row.n for row in rows], [id for _, id in updates], _values(rows)
    )
    return changed


async def _note(
    connection: asyncpg.Connection, import_id: UUID, changed: Sequence[asyncpg.Record], *, created: bool
) -> None:
    if changed:
        ids = [row["id"] for row in changed]
        await connection.execute(NOTE, import_id, [row["n"] for row in changed], ids, created)


def _values(rows: Sequence[Waiting]) -> list[str]:
    return [dump(row.values).decode() for row in rows]


def _blank(resource: Resource, columns: Sequence[str]) -> dict[str, Any]:
    """What columns hold that nothing was said of."""
    known = {name: resource.model._meta.fields_map[name] for name in columns}
    return {name: one.default() if callable(one.default) else one.default for name, one in known.items()}
