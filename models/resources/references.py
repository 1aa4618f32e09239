"""Whether a record may be referred to."""

from __future__ import annotations

from models.access import Viewer
from models.resources.mistakes import Mistake
from models.resources.resource import Reference


async def find(field: Reference, key: int, viewer: Viewer) -> None:
    """Raise Mistake unless the record referred to is there for the viewer."""
    if not await field.to.readable(key, viewer):
        raise Mistake(f"There is no {field.to.entity} {key}.")
