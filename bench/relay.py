"""How fast one relay takes a backlog to the log: `python -m bench.relay [--changes 50000]`.

The backlog is made by plain UPDATEs of leads, captured by the triggers; then a relay starts, and the time is measured
from the first event acknowledged to the last. The baselines of the same run are the two engines alone, each in the
relay's own batches: Postgres giving the numbers to a copy of the rows, and the broker taking the same records.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import asyncpg
import uvloop

from bench.agents import engines
from models import database, migrate
from settings import Settings
from streams import kafka, layout, ledger, log
from streams.lane import BATCH_BYTES
from streams.records import record
from streams.relay import Relay
from streams.topics import CHANGES, PARTITIONS


async def backlog(pool: asyncpg.Pool, changes: int) -> None:
    """So many changes of a thousand leads, in transactions of a hundred."""
    await pool.execute(
        """INSERT INTO crm_leads (first_name, last_name, email)
           SELECT 'Lead', i::text, i || '@example.com' FROM generate_series(1, 1000) i"""
    )
    for i in range((changes - 1000) // 100):
        await pool.execute(
            "UPDATE crm_leads SET lead_score = $1, notes = $2 WHERE id > $3 AND id <= $3 + 100",
            i % 100,
            f"round {i}",
            i % 10 * 100,
        )
    await pool.execute("ANALYZE events")


async def relayed(settings: Settings, pool: asyncpg.Pool) -> tuple[int, float, float]:
    """Events, events per second and the relay's processor microseconds for each, from the first to the last one."""
    total = int(await pool.fetchval("SELECT count(*) FROM events"))
    relay = asyncio.create_task(Relay(settings).run())
    first: tuple[int, float, float] | None = None
    try:
        while not relay.done():
            sent = int(await pool.fetchval("SELECT coalesce(sum(sent), 0) FROM relay_marks"))
            now, used = perf_counter(), process_time()
            if sent and first is None:
                first = sent, now, used
            if sent == total and first is not None:
                events = max(1, sent - first[0])
                return total, events / (now - first[1]), 1e6 * (used - first[2]) / events
            await asyncio.sleep(0.01)
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
    raise SystemExit("the relay ended")


async def numbering(pool: asyncpg.Pool) -> float:
    """Rows per second that Postgres alone can give numbers: one statement for each batch, nothing sent or fetched."""
    await pool.execute("CREATE TABLE twin (LIKE events INCLUDING ALL EXCLUDING IDENTITY)")
    await pool.execute(
        """INSERT INTO twin (id, at, topic, key, type, subject, data, context, audience, schema)
           SELECT id, at, topic, key, type, subject, data, context, audience, schema FROM events"""
    )
    count = int(await pool.fetchval("SELECT count(*) FROM twin"))
    started = perf_counter()
    while await pool.fetchval(
        """WITH lowest AS (
               SELECT id, row_number() OVER (ORDER BY id) AS n FROM (
                   SELECT id FROM twin WHERE n IS NULL ORDER BY id LIMIT $1) AS lowest_ids),
           given AS (
               UPDATE twin t SET partition = 0, n = l.n FROM lowest l WHERE t.id = l.id RETURNING 1)
           SELECT count(*) FROM given""",
        ledger.ROWS,
    ):
        pass
    return count / (perf_counter() - started)


async def producing(settings: Settings, pool: asyncpg.Pool) -> float:
    """Records per second that the broker alone takes: the same ones, made before, a lane for each partition."""
    other = replace(settings, kafka_prefix=settings.kafka_prefix + "alone.")
    async with kafka.admin(other) as admin, kafka.producer(other) as producer:
        await layout.make(admin, other, [CHANGES.name])
        lanes = []
        for partition in range(PARTITIONS):
            rows = await pool.fetch(
                "SELECT * FROM events WHERE topic = $1 AND partition = $2 ORDER BY n", CHANGES.name, partition
            )
            lanes.append([record(CHANGES.name, row, row["n"]) for row in rows])

        async def send(partition: int) -> None:
            waiting = lanes[partition][::-1]
            while waiting:
                batch, size = producer.create_batch(), 0
                while waiting and size < BATCH_BYTES:
                    one = waiting.pop()
                    batch.append(key=one.key, value=one.value, headers=one.headers, timestamp=None)
                    size += one.size
                batch.close()
                topic = other.kafka_prefix + CHANGES.name
                await (await producer.send_batch(batch, topic, partition=partition))

        started = perf_counter()
        await asyncio.gather(*(send(partition) for partition in range(PARTITIONS)))
        return sum(map(len, lanes)) / (perf_counter() - started)


async def main(changes: int, given: str) -> None:
    """Run the benchmark on a fresh Postgres, and the embedded broker unless another is named."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with engines(Path(folder), given) as settings:
            await migrate.migrate(settings.database_url)
            async with database.pool(settings.database_url, size=4) as pool:
                await log.ensure(settings, pool)
                await backlog(pool, changes)
                total, rate, cost = await relayed(settings, pool)
                numbers, records = await numbering(pool), await producing(settings, pool)
    print(f"relay, {total} changes from a backlog: {rate:,.0f}/s, target 10,000/s; relay {cost:.0f} µs each")
    print(f"Postgres numbering alone: {numbers:,.0f}/s; ratio {rate / numbers:.2f}")
    print(f"broker alone: {records:,.0f}/s; ratio {rate / records:.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=50_000)
    parser.add_argument("--kafka", default=os.environ.get("HUB_KAFKA", ""))
    arguments = parser.parse_args()
    uvloop.run(main(arguments.changes, arguments.kafka))
