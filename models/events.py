"""What happened: the table `events`, written by the capture triggers and by agents, numbered by the relay.

A row is kept for ever by default, unless it is an agent's publication or control record, which lives until it has
been produced and the log's own retention is over. `(topic, partition, n)` is null until the relay has numbered it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

#: Postgres channel the relay listens on; see Waker in `models/waking.py`.
WAKE_CHANNEL = "hub_events"

#: Ids in one partition of the table.
PARTITION_SPAN = 1_000_000

EVENTS = """
CREATE TABLE events (
    id        bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    topic     text NOT NULL,
    key       text NOT NULL,
    type      text NOT NULL,
    subject   text NOT NULL,
    data      jsonb NOT NULL,
    context   jsonb NOT NULL DEFAULT '{}',
    audience  jsonb,
    schema    integer NOT NULL DEFAULT hub_schema(),
    partition smallint,
    n         bigint,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX events_unnumbered ON events (id) WHERE n IS NULL;
CREATE INDEX events_numbered ON events (topic, partition, n) WHERE n IS NOT NULL;
CREATE INDEX events_subject ON events (subject, id);
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE TABLE events_0 PARTITION OF events FOR VALUES FROM (0) TO (1000000);
"""


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event an agent causes, such as a publication; written in the agent's own transaction."""

    topic: str
    key: str
    type: str
    subject: str
    data: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)
    #: Who may see a publication, as `access.Audience.json()`; None means whoever may subscribe.
    audience: Mapping[str, Any] | None = None


async def write(connection: asyncpg.Connection, events: Iterable[NewEvent]) -> None:
    """Insert events in the order given, in the caller's transaction."""
    rows = [
        (
            e.topic,
            e.key,
            e.type,
            e.subject,
            orjson.dumps(e.data).decode(),
            orjson.dumps(e.context).decode(),
            None if e.audience is None else orjson.dumps(e.audience).decode(),
        )
        for e in events
    ]
    if rows:
        await connection.execute(
            """INSERT INTO events (topic, key, type, subject, data, context, audience)
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[],
                                     $5::jsonb[], $6::jsonb[], $7::jsonb[])""",
            *zip(*rows, strict=True),
        )
