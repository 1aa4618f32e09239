"""Taking an import back: records it made are deleted, those it changed are as they were before.

The images of before and after stand in `events`. What somebody changed since is left as it is and reported, and so is a
record that others have come to depend on. What was taken back is forgotten, so that doing it again takes up conflicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from models.access import Action, Viewer, may
from models.resources.resource import Resource
from streams import exact
from streams.steps import Progress, Work

#: Changes taken back in one step.
ROWS = 1000
#: Conflicts that are listed.
MOST_LISTED = 100

#: The last changes of an import that have not been looked at, with the record as it is and as the import left it.
CHANGES = """
SELECT c.n, c.record, c.created, to_jsonb(t) AS now, e.data -> 'after' AS after, e.data -> 'before' AS before
FROM (SELECT * FROM import_changes WHERE import_id = $1 AND n < $2 ORDER BY n DESC LIMIT $3) AS c
LEFT JOIN {table} AS t ON t.id = c.record
LEFT JOIN LATERAL (
    SELECT data FROM events WHERE subject = '{entity}:' || c.record AND id <= c.until AND type LIKE '{entity}.%'
    ORDER BY id DESC LIMIT 1
) AS e ON true
ORDER BY c.n DESC
"""
RESTORE = """
WITH given AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::jsonb[]) AS row(id, image)),
wanted AS MATERIALIZED (
    SELECT record.* FROM given JOIN {table} AS now USING (id), LATERAL jsonb_populate_record(now, given.image) AS record
)
UPDATE {table} AS t SET {changes} FROM wanted WHERE t.id = wanted.id
"""

#: Beyond the number of any row.
END = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Undone:
    """What became of some changes."""

    #: Changes looked at, and the number of the last row; there may be more below it.
    rows: int
    last: int
    deleted: int
    restored: int
    gone: int
    #: Why a record was left as it is, by row: the record and the reason.
    conflicts: Mapping[int, tuple[int, str]]


async def step(connection: asyncpg.Connection, work: Work, resource: Resource) -> Progress:
    """Take back the next changes of an import."""
    import_id = UUID(work.parameters["import"])
    undone = await undo(connection, import_id, resource, work.viewer, below=work.state.get("below", END))
    before = work.state.get("result") or {
        "deleted": 0,
        "restored": 0,
        "gone": 0,
        "conflicts": 0,
        "conflict_details": [],
    }
    listed = [{"row": n, "id": id, "error": why} for n, (id, why) in undone.conflicts.items()]
    result = {
        "deleted": before["deleted"] + undone.deleted,
        "restored": before["restored"] + undone.restored,
        "gone": before["gone"] + undone.gone,
        "conflicts": before["conflicts"] + len(listed),
        "conflict_details": (before["conflict_details"] + listed)[:MOST_LISTED],
    }
    if undone.rows < ROWS and not result["conflicts"]:
        await connection.execute("UPDATE imports SET run = NULL WHERE id = $1", import_id)
    return Progress(
        finished=undone.rows < ROWS,
        done=undone.rows,
        failed=len(listed),
        state={"below": undone.last, "result": result},
        result=result,
    )


async def undo(
    connection: asyncpg.Connection, import_id: UUID, resource: Resource, viewer: Viewer, *, below: int = END
) -> Undone:
    """Take back the changes of the rows below a number, the last ones first."""
    # Images in events have their times in UTC.
    await connection.execute("SET LOCAL timezone = 'UTC'")
    await connection.execute(
        f"""SELECT FROM {resource.table} WHERE id IN (
                SELECT record FROM import_changes WHERE import_id = $1 AND n < $2 ORDER BY n DESC LIMIT $3
            ) ORDER BY id FOR UPDATE""",
        import_id,
        below,
        ROWS,
    )
    sql = CHANGES.format(table=resource.table, entity=resource.entity)
    rows = await connection.fetch(sql, import_id, below, ROWS)
    conflicts = await _conflicts(connection, resource, viewer, rows)
    free = [row for row in rows if row["now"] is not None and row["n"] not in conflicts]
    made = [row["record"] for row in free if row["created"]]
    changed = [row for row in free if not row["created"]]
    if made:
        await connection.execute(f"DELETE FROM {resource.table} WHERE id = ANY($1)", made)
    conflicts |= await _restore(connection, resource, changed)
    restored = [row for row in changed if row["n"] not in conflicts]
    settled = [row["n"] for row in rows if row["n"] not in conflicts]
    await connection.execute("DELETE FROM import_changes WHERE import_id = $1 AND n = ANY($2)", import_id, settled)
    return Undone(
        rows=len(rows),
        last=rows[-1]["n"] if rows else 0,
        deleted=len(made),
        restored=len(restored),
        gone=sum(1 for row in rows if row["now"] is None),
        conflicts=conflicts,
    )


async def _conflicts(
    connection: asyncpg.Connection, resource: Resource, viewer: Viewer, rows: Sequence[Mapping[str, Any]]
) -> dict[int, tuple[int, str]]:
    """Why records are left as they are, by row."""
    conflicts = {}
    depended = await _depended(connection, resource, [row["record"] for row in rows if row["created"]])
    for row in rows:
        if row["now"] is None:
            continue
        action = Action.DELETE if row["created"] else Action.UPDATE
        why = ""
        if exact.loads(row["now"]) != exact.loads(row["after"] or "null"):
            why = "It was changed since."
        elif row["record"] in depended:
            why = f"{depended[row['record']]} would be deleted with it."
        elif not may(viewer, action, resource.entity, exact.loads(row["now"])):
            why = f"You may not {action} it."
        if why:
            conflicts[row["n"]] = (row["record"], why)
    return conflicts


async def _depended(connection: asyncpg.Connection, resource: Resource, ids: Sequence[int]) -> dict[int, str]:
    """What would be deleted with records, by their ids."""
    found: dict[int, str] = {}
    for one in resource.dependents:
        rows = await connection.fetch(
            f"SELECT {one.column} AS id, min(id) AS first FROM {one.model._meta.db_table}"
            f" WHERE {one.column} = ANY($1) GROUP BY 1",
            ids,
        )
        found |= {row["id"]: f"{one.entity.capitalize()} {row['first']}" for row in rows}
    return found


async def _restore(
    connection: asyncpg.Connection, resource: Resource, rows: Sequence[Mapping[str, Any]]
) -> dict[int, tuple[int, str]]:
    """Put records back; should one not be taken, each by itself. Why some are left, by row."""
    if not rows:
        return {}
    columns = [one.column for one in resource.writable.values()]
    changes = ", ".join(f'"{column}" = wanted."{column}"' for column in columns)
    sql = RESTORE.format(table=resource.table, changes=changes)
    try:
        async with connection.transaction():
            await connection.execute(sql, [row["record"] for row in rows], [row["before"] for row in rows])
    except asyncpg.IntegrityConstraintViolationError:
        if len(rows) == 1:
            return {rows[0]["n"]: (rows[0]["record"], "What it had cannot stand beside other records any more.")}
        return {n: why for row in rows for n, why in (await _restore(connection, resource, [row])).items()}
    return {}
