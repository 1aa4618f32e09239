"""What a deletion takes along."""

from __future__ import annotations

from collections.abc import Sequence

from models import database
from models.access import Action, Viewer, may
from models.resources.resource import Resource
from models.resources.selection import Key


async def protected(resource: Resource, keys: Sequence[Key], viewer: Viewer) -> dict[Key, str]:
    """Which of these records the viewer may not delete because of what would go with them, and why.

    What would go with them is held in the transaction that is open here.
    """
    why: dict[Key, str] = {}
    for one in resource.dependents:
        table = one.model._meta.db_table
        sql = f'SELECT * FROM "{table}" WHERE "{one.column}" = ANY($1) ORDER BY id FOR UPDATE'
        rows = await database.execute(sql, [list(keys)])
        for row in rows:
            if not may(viewer, Action.DELETE, one.entity, row):
                why[row[one.column]] = f"This would delete an {one.entity} that you may not delete."
    return why
