"""Searchable custom fields: their values are among the words of a record that full-text search looks in.

There is one document for each record, whoever searches, so only a field that everybody sees can be searchable.
"""

from __future__ import annotations

from models import database
from models.resources.catalogue import RESOURCES
from models.resources.content_types import CONTENT_TYPES
from models.resources.custom.changes import COLUMN
from models.resources.custom.definition import Definition
from models.search import Searched

#: The kind of the job that makes documents anew; its parameter is `field`, the id.
JOB = "custom_field_search"

#: What search looks in, by kind of record.
SEARCHED = {
    one.entity: one
    for one in (
        Searched(
            table="crm_leads",
            entity="lead",
            called=("first_name", "last_name"),
            words=("email", "company_name", "phone"),
            numbers=("phone",),
            custom=CONTENT_TYPES["lead"],
        ),
        Searched(
            table="crm_contacts",
            entity="contact",
            called=("first_name", "last_name"),
            words=("email", "company_name", "phone", "mobile"),
            numbers=("phone", "mobile"),
            custom=CONTENT_TYPES["contact"],
        ),
        Searched(
            table="crm_opportunities",
            entity="opportunity",
            called=("name",),
            words=("company_name",),
            custom=CONTENT_TYPES["opportunity"],
        ),
        Searched(
            table="crm_tasks",
            entity="task",
            called=("title",),
            words=("description",),
            custom=CONTENT_TYPES["task"],
        ),
    )
}


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
