"""Files that a record's custom fields refer to: a file belongs to the one place that refers to it."""

from __future__ import annotations

from collections.abc import Mapping

from models import database
from models.access import Role, Viewer
from models.resources.custom.definitions import key
from models.resources.mistakes import Invalid

#: An upload goes to the first record its uploader gives it to, and stays there.
ATTACH = """
UPDATE crm_files f SET object_type = $1, object_id = $2, field = given.name, unused_since = NULL
FROM unnest($3::text[], $4::uuid[]) AS given(name, id)
WHERE f.id = given.id AND (
    (f.object_id IS NULL AND ($6 OR f.uploaded_by_id = $5))
    OR (f.object_type = $1 AND f.object_id = $2 AND f.field = given.name)
)
RETURNING f.id, f.field
"""


async def attach(files: Mapping[str, str], entity: str, record: int, viewer: Viewer) -> None:
    """Give files, by the name of the field, to a record that was just written, in the same transaction.

    Raises Invalid for one that is not there, is another record's, or was uploaded by somebody else.
    """
    if not files:
        return
    values = [entity, record, list(files), list(files.values()), viewer.id, viewer.role is Role.ADMIN]
    rows = await database.execute(ATTACH, values, changes=True)
    attached = {row["field"] for row in rows}
    if missing := {name: id for name, id in files.items() if name not in attached}:
        raise Invalid({key(name): [f"There is no upload {id} to be had."] for name, id in missing.items()})
