"""What capture costs a write, as ratios against the same table without any trigger, measured in turns in one run.

    python -m bench.capture [--rounds 1500] [--rows 10000]

Targets: a single row at most 1.2 times, an update of 10,000 rows at most 4 times. A single row is timed as a
transaction on a server that syncs to disk, which is what a user of the table waits for; the second table shows it
with `synchronous_commit` off, where the disk hides nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from engines.postgres import Postgres
from models import capture, migrate

#: The same table three times: as it is, with the upkeep of `updated_at` only, and bare.
TABLES = ("crm_leads", "touched_leads", "bare_leads")

COPY = """
CREATE TABLE {table} (LIKE crm_leads INCLUDING ALL);
ALTER TABLE {table} ADD FOREIGN KEY (owner_id) REFERENCES crm_users ON DELETE SET NULL,
                    ADD FOREIGN KEY (assigned_to_id) REFERENCES crm_users ON DELETE SET NULL;
"""

VALUES = "'Ada', 'Marsh', 'ada.marsh@example.com', '+1 555 0100', 'Cobalt Systems', 'Engineer', 1200.50, 1, 1"
COLUMNS = "first_name, last_name, email, phone, company_name, job_title, estimated_value, owner_id, assigned_to_id"

SINGLE = {
    "insert one row": f"INSERT INTO {{table}} (id, {COLUMNS}) VALUES ($1, {VALUES})",
    "update one row": "UPDATE {table} SET status = 'contacted', lead_score = 5 WHERE id = $1",
    "delete one row": "DELETE FROM {table} WHERE id = $1",
}

BULK = {
    "insert {rows} rows": f"INSERT INTO {{table}} (id, {COLUMNS}) SELECT n, {VALUES} FROM generate_series(1, $1) AS n",
    "update {rows} rows": "UPDATE {table} SET lead_score = (lead_score + 1) % 100 WHERE id <= $1",
    "delete {rows} rows": "DELETE FROM {table} WHERE id <= $1",
}

Measured = dict[str, list[float]]


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds a piece of work takes."""
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


async def singles(connection: asyncpg.Connection, statement: str, rounds: int) -> Measured:
    """Seconds of one statement on one row, the tables taking turns row by row."""
    taken: Measured = {table: [] for table in TABLES}
    ready = {table: await connection.prepare(statement.format(table=table)) for table in TABLES}
    for number in range(1, rounds + 1):
        for table in (*TABLES[number % 3 :], *TABLES[: number % 3]):
            query = ready[table]
            taken[table].append(await timed(lambda query=query, number=number: query.fetch(number)))  # type: ignore[misc]
    return taken


async def bulk(connection: asyncpg.Connection, statement: str, rows: int, rounds: int) -> Measured:
    """Seconds of one statement on many rows; rolled back except in the last round."""
    taken: Measured = {table: [] for table in TABLES}
    for turn in range(rounds):
        for table in TABLES:
            transaction = connection.transaction()
            await transaction.start()
            text = statement.format(table=table)
            taken[table].append(await timed(lambda text=text: connection.execute(text, rows)))  # type: ignore[misc]
            await (transaction.commit() if turn == rounds - 1 else transaction.rollback())
        await connection.execute(f"VACUUM ANALYZE {', '.join(TABLES)}, events")
    return taken


def show(what: str, taken: Measured) -> None:
    """One line: the bare time, and the ratios to it."""
    bare = median(taken["bare_leads"])
    ratios = [f"{median(taken[table]) / bare:5.2f}x" for table in TABLES[:2]]
    print(
        f"  {what:<20} {bare * 1000:9.3f} ms bare   capture and upkeep {ratios[0]}   upkeep only {ratios[1]}",
        flush=True,
    )


async def measure(url: str, rounds: int, rows: int) -> None:
    """Make the tables and print every line."""
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO crm_users (id, username, email) VALUES (1, 'ada', 'ada@example.com')")
    for table in TABLES[1:]:
        await connection.execute(COPY.format(table=table))
    await connection.execute(capture.touch("touched_leads"))
    for commit in ("on", "off"):
        await connection.execute(f"SET synchronous_commit = {commit}")
        print(f"single rows, synchronous_commit {commit}, median of {rounds}")
        for what, statement in SINGLE.items():
            show(what, await singles(connection, statement, rounds))
    print("many rows, median of 7")
    for what, statement in BULK.items():
        show(what.format(rows=rows), await bulk(connection, statement, rows, 7))
    await connection.close()


async def main() -> None:
    """Run on a Postgres of its own, with the settings of the embedded one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1500)
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder) / "postgres", log=Path(folder) / "postgres.log")
        await server.start()
        try:
            await migrate.migrate(server.url())
            await measure(server.url(), arguments.rounds, arguments.rows)
        finally:
            await server.stop()


if __name__ == "__main__":
    uvloop.run(main())
