"""kill -9 in the middle of the Superstore run: nothing accepted is lost or doubled, and the follower is told the truth.

The example itself compares rows, audit records, timeline items and frames one to one and fails unless they agree; here
its victim is chosen, and what it printed is held against the database.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from engines.child import spawn, stop, tail
from tests.system import sample
from tests.system.stack import ROOT, Stack

CUSTOMERS, ORDERS = 60, 240
ROWS = CUSTOMERS + ORDERS
#: Orders there are when the victim dies: the run is well under way and far from its end.
UNDER_WAY = 60

#: Rows of the run; records of it in the audit trail and on the timeline, and how many different events these are of.
WRITTEN = """
SELECT (SELECT count(*) FROM crm_contacts WHERE source = 'superstore')
     + (SELECT count(*) FROM crm_opportunities WHERE name LIKE 'Order T-%')
"""
HISTORY = """
SELECT count(*), count(DISTINCT h.event_id) FROM {table} h JOIN events e ON e.id = h.event_id
WHERE e.type IN ('contact.created', 'opportunity.created')
  AND (e.data -> 'after' ->> 'source' = 'superstore' OR e.data -> 'after' ->> 'name' LIKE 'Order T-%')
"""


@pytest.mark.parametrize("victim", ["worker", "hub", "postgres", "broker"])
async def test_the_run_survives_a_kill(stack: Stack, victim: str, tmp_path: Path) -> None:
    embedded_broker = "HUB_KAFKA" not in stack.given
    if victim == "broker" and not embedded_broker:
        pytest.skip("Apache Kafka is killed in test_broker_kill, with a cluster of its own")
    file = sample.write(tmp_path / "orders.csv", customers=CUSTOMERS, orders=ORDERS)
    log = tmp_path / "superstore.log"
    run = await superstore(stack, file, log)
    try:
        await under_way(stack.database)
        await stack.kill(victim)
        async with asyncio.timeout(180):
            code = await run.wait()
    finally:
        await stop(run)
    said = log.read_text()
    assert code == 0, f"{said}\n{tail(stack.log, lines=60)}"
    for line in (f"rows sent: {ROWS}", f"audit records: {ROWS}", f"timeline items: {ROWS}", f"frames received: {ROWS}"):
        assert line in said, said
    assert ("the log began anew" in said) == (victim == "broker")
    assert await counts(stack.database) == (ROWS, (ROWS, ROWS), (ROWS, ROWS))


async def test_a_second_run_adds_nothing(stack: Stack, tmp_path: Path) -> None:
    file = sample.write(tmp_path / "orders.csv", customers=10, orders=30)
    for number, line in enumerate(("rows sent: 40", "nothing to add")):
        log = tmp_path / f"superstore-{number}.log"
        run = await superstore(stack, file, log)
        async with asyncio.timeout(120):
            code = await run.wait()
        assert code == 0, log.read_text()
        assert line in log.read_text()
    assert await counts(stack.database) == (40, (40, 40), (40, 40))


async def superstore(stack: Stack, file: Path, log: Path) -> asyncio.subprocess.Process:
    argv = [sys.executable, str(ROOT / "examples" / "superstore.py"), str(file), "--url", stack.url]
    return await spawn(argv, log=log)


async def under_way(database: str) -> None:
    """Wait until part of the run is in the database."""
    connection = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(120):
            while await connection.fetchval(WRITTEN) < CUSTOMERS + UNDER_WAY:
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def counts(database: str) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Rows of the run, and for audit trail and timeline (records, different events)."""
    connection = await asyncpg.connect(database)
    try:
        audit = await connection.fetchrow(HISTORY.format(table="audit_trail"))
        timeline = await connection.fetchrow(HISTORY.format(table="timeline"))
        return await connection.fetchval(WRITTEN), tuple(audit), tuple(timeline)
    finally:
        await connection.close()
