"""A publication as the results of commands show it."""

from __future__ import annotations

from typing import Any

from actors.channel import Publication


def content(publication: Publication) -> dict[str, Any]:
    """Its fields by the names of the protocol."""
    return {"data": publication.record.payload, "offset": publication.offset}
