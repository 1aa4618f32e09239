"""Searchable custom fields: their values are among the words of a record that full-text search looks in.

There is one document for each record, whoever searches, so only a field that everybody sees can be searchable.
"""

from __future__ import annotations

from dataclasses import replace

from models import database, search
from models.resources.catalogue import RESOURCES
from models.resources.content_types import CONTENT_TYPES
from models.resources.custom.changes import COLUMN
from models.resources.custom.definition import Definition

#: The kind of the job that makes documents anew; its parameter is `field`, the id.
JOB = "custom_field_search"

#: What search looks in, custom fields too.
SEARCHED = {entity: replace(one, custom=CONTENT_TYPES[entity]) for entity, one in search.SEARCHED.items()}


def searched(field: Definition | None) -> bool:
    """Whether search looks in the field."""
    return field is not None and field.searchable and field.active


async def chunk(field: Definition, after: int, most: int) -> tuple[int | None, int]:
    """Make the documents of the next records with a value anew: the last of them, None for no more; how many."""
    table, one = RESOURCES[field.entity].table, SEARCHED[field.entity]
    # Held, so that nobody changes a record between its reading and the writing of its document.
    rows = await database.execute(
        f"SELECT id FROM {table} WHERE id > $1 AND {COLUMN} ? $2 ORDER BY id LIMIT $3 FOR UPDATE",
        [after, field.name, most],
    )
    if not rows:
        return None, 0
    await database.execute(
        f"""UPDATE {one.index} s SET document = {one.document("row")} FROM {table} AS row
            WHERE row.id = s.id AND row.id = ANY ($1::bigint[])""",
        [[row["id"] for row in rows]],
    )
    return rows[-1]["id"], len(rows)
