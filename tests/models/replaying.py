"""The oracle of capture: fold change events from empty and compare with the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import orjson

from models.capture import CAPTURED

#: subject -> row
Images = dict[str, dict[str, Any]]


def replay(events: Iterable[Mapping[str, Any]]) -> Images:
    """What the events say there is. Fails where an event does not follow from those before it."""
    images: Images = {}
    for event in events:
        subject, change = event["subject"], event["type"].rpartition(".")[2]
        before, after = event["data"]["before"], event["data"]["after"]
        assert images.get(subject) == before, f"event {event['id']} ({event['type']}) does not continue {subject}"
        assert (change == "created") == (before is None)
        assert (change == "deleted") == (after is None)
        assert before != after, f"event {event['id']} changes nothing"
        if after is None:
            del images[subject]
        else:
            images[subject] = after
    return images


async def stored(connection: asyncpg.Connection) -> Images:
    """What the captured tables hold, without the columns that are excluded."""
    images: Images = {}
    async with connection.transaction():
        await connection.execute("SET LOCAL timezone = 'UTC'")
        for captured in CAPTURED:
            rows = await connection.fetch(
                f"SELECT to_jsonb(row) - $1::text[] AS image FROM {captured.table} AS row", list(captured.excluded)
            )
            for row in rows:
                image = orjson.loads(row["image"])
                images[f"{captured.entity}:{image['id']}"] = image
    return images
