"""What the relay puts on the log, and what it does besides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from prometheus_client import REGISTRY

from models import database as databases
from models.events import PARTITION_SPAN, NewEvent, write
from models.waking import Waker
from settings import Settings
from streams import envelope, kafka, layout, log, term, ticks, upkeep
from streams.log import LogError
from streams.topics import CHANGES, DEAD, PARTITIONS, PUBLICATIONS, TOPICS, partition_of
from tests.streams.relaying import add, agrees, all_sent, entries, read, relaying, taken_once, until


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    """The test's database, its log made."""
    async with databases.pool(settings.database_url, size=6) as made:
        await log.ensure(settings, made)
        yield made


async def test_numbers_are_dense_in_each_partition_of_each_topic(settings: Settings, pool: asyncpg.Pool) -> None:
    async with relaying(settings):
        for batch in range(5):
            for topic in (CHANGES.name, PUBLICATIONS.name, DEAD.name):
                await add(pool, [f"lead:{batch}-{i}" for i in range(30)], topic=topic)
        await all_sent(pool)
    for topic in (CHANGES.name, PUBLICATIONS.name, DEAD.name):
        assert await agrees(settings, pool, topic) == 0
        for place, its in (await entries(settings, topic)).items():
            assert [entry.n for entry in its] == list(range(1, len(its) + 1))
            assert {partition_of((entry.record.key or b"").decode()) for entry in its} == {place[1]}
    rows = await pool.fetch("SELECT topic, partition, numbered, sent FROM relay_marks WHERE numbered > 0")
    for row in rows:
        assert row["numbered"] == row["sent"]
        assert row["numbered"] == await pool.fetchval(
            "SELECT max(n) FROM events WHERE topic = $1 AND partition = $2", row["topic"], row["partition"]
        )


@pytest.mark.one_broker
async def test_publications_carry_attributes_in_headers(settings: Settings, pool: asyncpg.Pool) -> None:
    frame = {"type": "lead_update", "lead": {"id": 7, "name": "Zoë"}}
    event = NewEvent(
        topic=PUBLICATIONS.name,
        key="lead:7",
        type=envelope.FRAME,
        subject="lead:7",
        data=frame,
        audience={"roles": ["admin"]},
    )
    async with pool.acquire() as connection:
        await write(connection, [event])
    async with relaying(settings):
        await all_sent(pool)
    ((place, (entry,)),) = (await entries(settings, PUBLICATIONS.name)).items()
    headers = envelope.attributes(entry.record.headers)
    assert place[1] == partition_of("lead:7")
    assert entry.record.key == b"lead:7"
    assert orjson.loads(entry.record.value or b"") == frame
    assert headers["ce_type"] == b"hub.frame"
    assert orjson.loads(headers["ce_audience"]) == {"roles": ["admin"]}
    assert int(headers["ce_sequence"]) == 1
    assert int(headers["ce_id"]) == await pool.fetchval("SELECT id FROM events")


async def test_nothing_in_the_table_stops_the_relay(settings: Settings, pool: asyncpg.Pool) -> None:
    large = {"after": {"text": "ü" * 300_000}}
    rows: list[tuple[str, str, str, str, dict[str, Any]]] = [
        ("crm.changes", "lead:1", "lead.updated", "lead:1", {"data": large}),
        ("hub.publications", "lead:1", "hub.frame", "lead:1", {"data": large, "audience": {"roles": ["admin"]}}),
        ("hub.publications", "lead:1", "hub.frame", "lead:1", {"audience": {"roles": ["x" * 1_000_000]}}),
        ("crm.changes", "lead:1", "lead.updated", "lead:1", {"context": None}),
        ("crm.changes", "lead:1", "lead.updated", "lead:1", {"context": {"user_agent": "x" * 2_000_000}}),
        ("crm.changes", "k" * 2_000_000, "t" * 2_000_000, "s" * 2_000, {}),
        ("crm.changes", "lead:1", "lead.updated", "lead:1", {"at": "20000-01-01"}),
        ("crm.changes", "lead:1", "lead.updated", "lead:1", {"at": "-infinity"}),
        ("no.such.topic", "lead:1", "lead.updated", "lead:1", {}),
        ("crm.changes", "", "", "", {}),
        ("crm.changes", "lead:1", "lead.updated", "lead:1", {"data": [1]}),
    ]
    for topic, key, kind, subject, rest in rows:
        await pool.execute(
            """INSERT INTO events (topic, key, type, subject, data, context, audience, at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, coalesce($8::text::timestamptz, now()))""",
            topic,
            key,
            kind,
            subject,
            orjson.dumps(rest.get("data", {})).decode(),
            orjson.dumps(rest.get("context", {})).decode(),
            orjson.dumps(rest["audience"]).decode() if "audience" in rest else None,
            rest.get("at"),
        )
    await add(pool, ["lead:1"])
    async with relaying(settings):
        await all_sent(pool)
    for topic, count in ((CHANGES.name, 9), (PUBLICATIONS.name, 2), (DEAD.name, 1)):
        assert await agrees(settings, pool, topic) == 0
        assert sum(map(len, (await entries(settings, topic)).values())) == count
    first, *_, last = (await entries(settings))[CHANGES.name, partition_of("lead:1")]
    assert envelope.decode(first.record.value or b"", CHANGES.name, 0).data is None
    assert orjson.loads(first.record.value or b"")["dataref"] == str(first.id)
    assert envelope.decode(last.record.value or b"", CHANGES.name, 0).data is not None
    by_reference, hidden = (await entries(settings, PUBLICATIONS.name))[PUBLICATIONS.name, partition_of("lead:1")]
    assert orjson.loads(by_reference.record.value or b"") == {"type": "dataref", "dataref": str(by_reference.id)}
    assert orjson.loads(envelope.attributes(by_reference.record.headers)["ce_audience"]) == {"roles": ["admin"]}
    assert orjson.loads(envelope.attributes(hidden.record.headers)["ce_audience"]) == {"roles": []}


async def test_ticks_move_every_partition_by_the_clock_of_postgres(
    settings: Settings, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "INTERVAL", 0.05)
    await add(pool, ["activity"], topic=PUBLICATIONS.name)

    async def ticked(times: int) -> bool:
        found = await read(settings, PUBLICATIONS.name)
        return len(found) == PARTITIONS and all(len(records) >= times for records in found.values())

    began = await pool.fetchval("SELECT clock_timestamp()")
    async with relaying(settings):
        await until(lambda: ticked(3))
    async with relaying(settings):
        await until(lambda: ticked(8))
    ended = await pool.fetchval("SELECT clock_timestamp()")
    for (_, partition), records in (await read(settings, PUBLICATIONS.name)).items():
        all_headers = [envelope.attributes(record.headers) for record in records]
        its = [headers for headers in all_headers if headers["ce_type"] == b"hub.tick"]
        times = [datetime.fromisoformat(headers["ce_time"].decode()) for headers in its]
        assert times == sorted(times)
        assert began - timedelta(milliseconds=1) <= times[0] <= times[-1] <= ended
        assert not any("ce_sequence" in headers for headers in its)
        has_one = partition == partition_of("activity")
        assert int(its[-1][ticks.LAST_N]) == has_one


@pytest.mark.one_broker
async def test_what_a_hub_misses_is_sent_again_once(settings: Settings, pool: asyncpg.Pool) -> None:
    await add(pool, ["activity"] * 30, topic=PUBLICATIONS.name)
    place = (PUBLICATIONS.name, partition_of("activity"))
    async with relaying(settings):
        await all_sent(pool)
        await pool.execute("INSERT INTO resend_requests (partition, after_n) VALUES ($1, 22), (99, 0)", place[1])

        async def honoured() -> bool:
            return not await pool.fetchval("SELECT count(*) FROM resend_requests WHERE partition < 99")

        await until(honoured)
        await add(pool, ["activity"], topic=PUBLICATIONS.name)
        await all_sent(pool)
    numbers = [entry.n for entry in (await entries(settings, PUBLICATIONS.name))[place]]
    assert numbers == [*range(1, 31), *range(23, 31), 31]
    assert await agrees(settings, pool, PUBLICATIONS.name) == 8


@pytest.mark.one_broker
async def test_a_wake_is_not_needed_and_enough(
    settings: Settings, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relaying(settings):
        await add(pool, ["lead:1"])  # nobody tells
        await all_sent(pool)
    monkeypatch.setattr(term, "POLL", 3600.0)
    async with relaying(settings), Waker(pool) as waker:
        for count in (2, 3, 4):
            await add(pool, ["lead:1"])
            waker.wake()

            async def sent(count: int = count) -> bool:
                return len((await entries(settings))[CHANGES.name, partition_of("lead:1")]) == count

            await until(sent)


async def test_postgres_put_back_under_a_live_log(settings: Settings, pool: asyncpg.Pool) -> None:
    await add(pool, [f"lead:{i}" for i in range(50)])
    async with relaying(settings):
        await all_sent(pool)
    # What a dump taken now would bring back, later.
    await pool.execute("CREATE TABLE old_marks AS SELECT * FROM relay_marks")
    async with relaying(settings):
        await add(pool, [f"lead:{i}" for i in range(50)])
        await all_sent(pool)
    await pool.execute("DELETE FROM events WHERE id > 50")
    await pool.execute(
        """UPDATE relay_marks m SET numbered = o.numbered, sent = o.sent FROM old_marks o
           WHERE (m.topic, m.partition) = (o.topic, o.partition)"""
    )
    with pytest.raises(LogError, match="newlog"):
        async with relaying(settings) as running:
            await running
    # Other changes have taken the place of those that were lost.
    await add(pool, [f"lead:{i}" for i in range(50)])
    with pytest.raises(LogError, match="was restored"):
        async with relaying(settings) as running:
            await running
    assert await pool.fetchval("SELECT count(*) FROM events WHERE n IS NULL") == 50
    await log.new_log(settings, pool)
    async with relaying(settings):
        await all_sent(pool)
    found = taken_once(await entries(settings))
    assert sum(map(len, found.values())) == 50


@pytest.mark.one_broker
async def test_another_event_under_the_same_number(settings: Settings, pool: asyncpg.Pool) -> None:
    await add(pool, ["lead:1"] * 3)
    async with relaying(settings):
        await all_sent(pool)
    await pool.execute("UPDATE events SET n = CASE id WHEN 3 THEN 2 WHEN 2 THEN 3 ELSE n END")
    with pytest.raises(LogError, match="does not know"):
        async with relaying(settings) as running:
            await running


async def test_publications_are_compared_however_much_came_after(settings: Settings, pool: asyncpg.Pool) -> None:
    await add(pool, ["activity"] * 3, topic=PUBLICATIONS.name)
    async with relaying(settings):
        await all_sent(pool)

    async with kafka.producer(settings) as producer:
        topic = settings.kafka_prefix + PUBLICATIONS.name
        headers = envelope.publication_headers(type=envelope.PUBLICATION, id="x", time=datetime.now(UTC))
        for _ in range(200):
            await producer.send(topic, b"1", key=b"activity", partition=partition_of("activity"), headers=headers)
    await pool.execute("DELETE FROM events WHERE n = 3")
    with pytest.raises(LogError, match="as number 3"):
        async with relaying(settings) as running:
            await running


async def test_another_kafka_than_it_was(settings: Settings, pool: asyncpg.Pool) -> None:
    await add(pool, ["lead:1"] * 3)
    async with relaying(settings):
        await all_sent(pool)

    async with kafka.admin(settings) as admin:
        await layout.replace(admin, settings, [topic.name for topic in TOPICS])
    with pytest.raises(LogError, match="ends at offset 0"):
        async with relaying(settings) as running:
            await running


async def test_kafka_loses_the_log_under_a_relay_that_leads(settings: Settings, pool: asyncpg.Pool) -> None:

    async def lose() -> None:
        async with relaying(settings) as running:
            await add(pool, ["lead:1"] * 3)
            await all_sent(pool)
            async with kafka.admin(settings) as admin:
                await layout.replace(admin, settings, [topic.name for topic in TOPICS])
            await add(pool, ["lead:1"])
            await running

    with pytest.raises(LogError, match="newlog"):
        await lose()


@pytest.mark.one_broker
async def test_a_topic_the_log_lacks_is_said(settings: Settings, pool: asyncpg.Pool) -> None:
    await pool.execute("DELETE FROM log_partitions WHERE topic = $1", CHANGES.name)
    with pytest.raises(LogError, match="lacks topics"):
        async with relaying(settings) as running:
            await running


@pytest.mark.one_broker
async def test_no_log_is_said(settings: Settings) -> None:
    with pytest.raises(LogError, match="migrate"):
        async with relaying(settings) as running:
            await running


@pytest.mark.one_broker
async def test_partitions_are_made_ahead_and_nobody_waits(pool: asyncpg.Pool) -> None:
    await upkeep.make_partitions(pool)
    assert await partitions(pool) == {"events_0", "events_1", "events_2", "events_default"}
    await pool.execute(f"SELECT setval('events_id_seq', {3 * PARTITION_SPAN})")
    await add(pool, ["lead:1"])  # none is there for it: the default takes it
    async with pool.acquire() as reader, reader.transaction():
        await reader.execute("SELECT count(*) FROM events")
        await upkeep.make_partitions(pool)  # gives up at once
    await upkeep.make_partitions(pool)
    assert await partitions(pool) >= {"events_4", "events_5"}
    assert "events_3" not in await partitions(pool)  # the default has a row of it
    await pool.execute(f"SELECT setval('events_id_seq', {4 * PARTITION_SPAN})")
    await add(pool, ["lead:1"])
    assert await pool.fetchval("SELECT tableoid::regclass::text FROM events ORDER BY id DESC LIMIT 1") == "events_4"
    await upkeep.make_partitions(pool)
    assert await partitions(pool) >= {"events_4", "events_5", "events_6"}


async def partitions(pool: asyncpg.Pool) -> set[str]:
    rows = await pool.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'events'::regclass"
    )
    return {row["name"] for row in rows}


@pytest.mark.one_broker
async def test_old_publications_are_forgotten_and_changes_are_not(settings: Settings, pool: asyncpg.Pool) -> None:
    for topic in (CHANGES.name, PUBLICATIONS.name):
        await add(pool, ["activity"] * 600, topic=topic)
    async with relaying(settings):
        await all_sent(pool)
    await pool.execute("UPDATE events SET at = at - make_interval(days => $1)", layout.RETENTION_DAYS + 1)

    async def purged() -> bool:
        return await pool.fetch("SELECT n FROM events WHERE topic = $1", PUBLICATIONS.name) == [(600,)]

    async with relaying(settings):  # the last one that was sent stays, to be compared with the log
        await until(purged)
    assert await pool.fetchval("SELECT count(*) FROM events WHERE topic = $1", CHANGES.name) == 600
    async with relaying(settings):
        await add(pool, ["activity"], topic=PUBLICATIONS.name)
        await all_sent(pool)


@pytest.mark.one_broker
async def test_metrics_say_who_leads_and_what_waits(
    settings: Settings, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(pool, [f"lead:{i}" for i in range(10)])
    assert REGISTRY.get_sample_value("relay_leader") == 0
    before = REGISTRY.get_sample_value("relay_sent_total", {"topic": CHANGES.name}) or 0
    async with relaying(settings):
        await all_sent(pool)
        assert REGISTRY.get_sample_value("relay_leader") == 1
        assert REGISTRY.get_sample_value("relay_sent_total", {"topic": CHANGES.name}) == before + 10
    assert REGISTRY.get_sample_value("relay_leader") == 0
    assert REGISTRY.get_sample_value("relay_backlog_events") is not None
