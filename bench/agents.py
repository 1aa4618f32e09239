"""How fast one worker's audit agent takes a backlog: `python -m bench.agents [--changes 50000]`.

The backlog is made by plain UPDATEs, numbered and sent before the worker starts; then the time from the first to the
last event taken is measured. The baseline of the same run is Postgres alone: the same number of rows copied into the
audit table's twin, so that the ratio says what the agent costs beside its writing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from time import perf_counter

import asyncpg

from engines.broker import Broker
from engines.postgres import Postgres
from models import database, migrate
from settings import Settings
from streams import log as logs
from streams.relay import Relay

MAIN = Path(__file__).parents[1] / "main.py"


@asynccontextmanager
async def engines(folder: Path, kafka: str) -> AsyncIterator[Settings]:
    """A fresh embedded Postgres, and the embedded broker unless another is named."""
    postgres = Postgres(folder / "postgres", log=folder / "postgres.log")
    broker = Broker(folder / "broker.log")
    await postgres.start()
    if not kafka:
        await broker.start()
    try:
        yield Settings(
            database_url=postgres.url(),
            kafka=kafka or broker.address,
            kafka_prefix=f"bench{os.getpid()}.",
            worker_port=0,
            secret="a secret for the benchmark of agents",
            agent_fetch_wait=20,
        )
    finally:
        if not kafka:
            await broker.stop()
        await postgres.stop()


async def backlog(pool: asyncpg.Pool, changes: int) -> None:
    """So many changes of leads, in transactions of a hundred, all numbered and sent."""
    await pool.execute(
        """INSERT INTO crm_leads (first_name, last_name, email)
           SELECT 'Lead', i::text, i || '@example.com' FROM generate_series(1, 1000) i"""
    )
    for i in range((changes - 1000) // 100):
        await pool.execute(
            "UPDATE crm_leads SET lead_score = $1, notes = $2 WHERE id IN (SELECT id FROM crm_leads ORDER BY id "
            "OFFSET $3 LIMIT 100)",
            i % 100,
            f"round {i}",
            i % 10 * 100,
        )
    while await pool.fetchval("SELECT count(*) FROM events WHERE n IS NULL") or await pool.fetchval(
        "SELECT sum(numbered - sent) FROM relay_marks"
    ):
        await asyncio.sleep(0.2)


def processor(pid: int) -> float:
    """Seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def drained(pool: asyncpg.Pool, changes: int, pid: int) -> tuple[float, float]:
    """Events per second, and processor microseconds of the worker per event, from the first to the last one taken."""
    first: tuple[int, float, float] | None = None
    while True:
        taken = int(await pool.fetchval("SELECT coalesce(sum(n), 0) FROM agent_progress"))
        now, used = perf_counter(), processor(pid)
        if taken and first is None:
            first = taken, now, used
        if taken >= changes and first is not None:
            events = taken - first[0]
            return events / (now - first[1]), 1e6 * (used - first[2]) / events
        await asyncio.sleep(0.02)


async def copying(pool: asyncpg.Pool) -> float:
    """Rows per second of the same trail and history, written by one server-side statement each, in batches of 500."""
    await pool.execute("CREATE TABLE trail (LIKE audit_trail INCLUDING ALL)")
    await pool.execute("CREATE TABLE history (LIKE field_history INCLUDING ALL)")
    ids = [row["event_id"] for row in await pool.fetch("SELECT event_id FROM audit_trail ORDER BY event_id")]
    started = perf_counter()
    for i in range(0, len(ids), 500):
        async with pool.acquire() as connection, connection.transaction():
            some = ids[i : i + 500]
            await connection.execute("INSERT INTO trail SELECT * FROM audit_trail WHERE event_id = ANY($1)", some)
            await connection.execute("INSERT INTO history SELECT * FROM field_history WHERE event_id = ANY($1)", some)
    return len(ids) / (perf_counter() - started)


async def measure(settings: Settings, changes: int) -> None:
    """Make the backlog, start a worker, print what it does."""
    await migrate.migrate(settings.database_url)
    async with database.pool(settings.database_url, size=4) as pool:
        await logs.ensure(settings, pool)
        relay = asyncio.create_task(Relay(settings).run())
        await backlog(pool, changes)
        total = int(await pool.fetchval("SELECT sum(sent) FROM relay_marks WHERE topic = 'crm.changes'"))
        environ = {f"HUB_{f.name.upper()}": str(getattr(settings, f.name)) for f in fields(settings)}
        worker = await asyncio.create_subprocess_exec(
            sys.executable, str(MAIN), "worker", "--agents", "audit", env={**os.environ, **environ}
        )
        try:
            rate, cost = await drained(pool, total, worker.pid)
        finally:
            worker.terminate()
            await worker.wait()
            relay.cancel()
            await asyncio.gather(relay, return_exceptions=True)
        alone = await copying(pool)
    print(f"audit agent from a backlog of {total} changes: {rate:,.0f}/s, target 5,000/s; worker {cost:.0f} µs each")
    print(f"Postgres alone, the same rows: {alone:,.0f}/s; ratio {rate / alone:.2f}")


async def main(changes: int, kafka: str) -> None:
    """Run the benchmark on fresh engines."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with engines(Path(folder), kafka) as settings:
            await measure(settings, changes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=50_000)
    parser.add_argument("--kafka", default="", help="bootstrap servers; the embedded broker by default")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.changes, arguments.kafka))
