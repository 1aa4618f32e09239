"""kill -9 in the middle of the Superstore run: nothing accepted is lost or doubled, and the follower is told the truth.

The example itself compares rows, audit records, timeline items and frames one to one and fails unless they agree; here
its victim is chosen, and what it printed is held against the database.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from engines.child import spawn, stop, tail
from tests.system import sample
from tests.system.kafka import Kafka, KafkaUnavailable
from tests.system.stack import ROOT, Stack

CUSTOMERS, ORDERS = 60, 240
ROWS = CUSTOMERS + ORDERS
#: Orders there are when the victim dies: the run is well under way and far from its end. The soak takes any moment.
UNDER_WAY = 60
#: Runs in the soak, each with its kill.
ROUNDS = 5

#: Rows of a run, by its mark; records of it in the audit trail or on the timeline, and how many different events these
#: are of.
WRITTEN = """
SELECT (SELECT count(*) FROM crm_contacts WHERE email LIKE lower($1) || '-%')
     + (SELECT count(*) FROM crm_opportunities WHERE name LIKE 'Order ' || $1 || '-%')
"""
HISTORY = """
SELECT count(*), count(DISTINCT h.event_id) FROM {table} h JOIN events e ON e.id = h.event_id
WHERE e.type = 'contact.created' AND e.data -> 'after' ->> 'email' LIKE lower($1) || '-%'
   OR e.type = 'opportunity.created' AND e.data -> 'after' ->> 'name' LIKE 'Order ' || $1 || '-%'
"""


@pytest.mark.parametrize("victim", ["worker", "hub", "postgres", "broker"])
async def test_the_run_survives_a_kill(stack: Stack, victim: str, tmp_path: Path, soak: bool) -> None:
    if victim == "broker" and stack.given:
        pytest.skip("Apache Kafka is killed in a test of its own, with a cluster of its own")
    for mark, moment in rounds(victim, soak):
        said = await survived(stack, mark, moment, tmp_path, lambda: stack.kill(victim))
        assert ("the log began anew" in said) == (victim == "broker")


async def test_the_run_survives_a_kill_of_apache_kafka(tmp_path: Path, soak: bool) -> None:
    """What Kafka acknowledged is there when it comes back: the follower misses nothing and the log stays the same."""
    cluster = Kafka()
    try:
        await cluster.start()
    except KafkaUnavailable as reason:
        pytest.skip(f"Apache Kafka cannot be had: {reason}")
    stack = Stack(tmp_path / "data", {"HUB_KAFKA": cluster.address, "HUB_SECRET": "s" * 32})

    async def kill() -> None:
        (node,) = cluster.nodes
        assert node.process is not None
        node.process.kill()
        await node.process.wait()
        await cluster.start_node(node)

    try:
        await stack.start()
        for mark, moment in rounds("kafka", soak):
            assert "the log began anew" not in await survived(stack, mark, moment, tmp_path, kill)
    finally:
        await stack.stop()
        await cluster.stop()


def rounds(victim: str, soak: bool) -> Iterator[tuple[str, int]]:
    """The runs: a mark for their rows, and how many orders there are when the victim dies."""
    if not soak:
        yield victim, UNDER_WAY
        return
    for number in range(ROUNDS):
        yield f"{victim}{number}", random.randrange(ORDERS * 9 // 10)


async def survived(stack: Stack, mark: str, moment: int, folder: Path, kill: Callable[[], Awaitable[None]]) -> str:
    """Kill in the middle of a run, which must end well all the same; what the run said."""
    file = sample.write(folder / "orders.csv", mark, customers=CUSTOMERS, orders=ORDERS)
    log = folder / "superstore.log"
    run = await superstore(stack, file, log)
    try:
        await under_way(stack.database, mark, moment)
        await kill()
        async with asyncio.timeout(180):
            code = await run.wait()
    finally:
        await stop(run)
    said = log.read_text()
    assert code == 0, f"killed at {moment}: {said}\n{tail(stack.log, lines=60)}"
    for line in (f"rows sent: {ROWS}", f"audit records: {ROWS}", f"timeline items: {ROWS}", f"frames received: {ROWS}"):
        assert line in said, said
    assert await counts(stack.database, mark) == (ROWS, (ROWS, ROWS), (ROWS, ROWS))
    return said


async def test_a_second_run_adds_nothing(stack: Stack, tmp_path: Path) -> None:
    file = sample.write(tmp_path / "orders.csv", "again", customers=10, orders=30)
    for number, line in enumerate(("rows sent: 40", "nothing to add")):
        log = tmp_path / f"superstore-{number}.log"
        run = await superstore(stack, file, log)
        async with asyncio.timeout(120):
            code = await run.wait()
        assert code == 0, log.read_text()
        assert line in log.read_text()
    assert await counts(stack.database, "again") == (40, (40, 40), (40, 40))


async def superstore(stack: Stack, file: Path, log: Path) -> asyncio.subprocess.Process:
    argv = [sys.executable, str(ROOT / "examples" / "superstore.py"), str(file), "--url", stack.url]
    return await spawn(argv, log=log)


async def under_way(database: str, mark: str, moment: int) -> None:
    """Wait until the customers and so many orders of a run are in the database."""
    connection = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(120):
            while await connection.fetchval(WRITTEN, mark) < CUSTOMERS + moment:
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def counts(database: str, mark: str) -> tuple[int, tuple[int, int], tuple[int, int]]:
    """Rows of the run, and for audit trail and timeline (records, different events)."""
    connection = await asyncpg.connect(database)
    try:
        audit = await connection.fetchrow(HISTORY.format(table="audit_trail"), mark)
        timeline = await connection.fetchrow(HISTORY.format(table="timeline"), mark)
        return await connection.fetchval(WRITTEN, mark), tuple(audit), tuple(timeline)
    finally:
        await connection.close()
