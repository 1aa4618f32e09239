"""Lists of a million leads: `python -m bench.records [--leads 1000000] [--requests 200] [--folder DIR]`.

Milliseconds of a request as one client sees it, one at a time, and of processors for it, hub and Postgres together: the
REST side of a hub over an embedded Postgres with 1 GB of shared buffers. Then lists in a second of the hub's processor
time, next to a bare aiohttp handler that reads the same rows with asyncpg and answers the same JSON. The leads come by
COPY with triggers off, and their search documents by one statement after it. With a folder they are made once and kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp
import asyncpg
import orjson
import psutil
import uvloop
from aiohttp import web

from bench.costs import SECRET, hub_over, spent
from engines import ports
from engines.child import spawn, stop
from engines.postgres import Postgres
from hub import tokens
from main import configure_log
from models import database, migrate
from models.access import Role, Viewer
from models.leads import LeadSource, LeadStatus, Priority
from models.resources.leads import LEADS
from models.resources.ordering import order
from models.resources.window import Cursor

USERS, COMPANIES = 200, 3000
FIRST = "Anna Bo Carlos Dmitri Elena Fatima George Hana Ivan José Karin Liam Maria Noah Olga Søren Tara Zoë".split()
LAST = "Smith Müller Garcia Johnson Brown Silva Kowalski Nguyen Ivanov Rossi Łukasik".split()

ADMIN, REP = 1, 7

LEAD = {"first_name": "Ida", "last_name": "Holt", "email": "ida@example.com", "phone": "+1 555 010 1234"}

COLUMNS = (
    "first_name", "last_name", "email", "phone", "company_name", "lead_source", "status", "priority", "assigned_to_id",
    "owner_id", "lead_score", "probability", "estimated_value", "notes", "created_at", "updated_at",
)  # fmt: skip


def leads(count: int) -> Iterator[tuple[Any, ...]]:
    """Rows of leads: a twentieth of a name each, a tenth unassigned, one in a thousand converted."""
    chance = random.Random(7)
    letters = [chr(97 + one) + chr(97 + two) for one in range(26) for two in range(26)]
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    usual = [status for status in LeadStatus if status is not LeadStatus.CONVERTED]
    for number in range(count):
        first, last = chance.choice(FIRST), chance.choice(LAST) + chance.choice(letters)
        domain = f"acme{chance.randrange(COMPANIES)}"
        at = begin + timedelta(minutes=number)
        yield (
            first,
            last,
            f"{first}.{last}{number % 5000}@{domain}.com".lower(),
            f"+1 ({chance.randrange(200, 999)}) {chance.randrange(1000):03}-{chance.randrange(10_000):04}",
            f"{domain.title()} {chance.choice(('Ltd', 'Inc', 'GmbH'))}",
            chance.choice(list(LeadSource)),
            LeadStatus.CONVERTED if number % 1000 == 0 else chance.choice(usual),
            chance.choice(list(Priority)),
            None if number % 10 == 0 else chance.randint(1, USERS),
            chance.randint(1, USERS),
            chance.randint(0, 100),
            chance.randint(0, 100),
            None if number % 5 == 0 else Decimal(chance.randrange(10_000_000)) / 100,
            "Notes of some length. " * 5,
            at,
            at + timedelta(minutes=chance.randrange(count)),
        )


async def fill(url: str, count: int) -> None:
    """Make the leads, as the superuser of a migrated database, unless they are there."""
    connection = await asyncpg.connect(url)
    if await connection.fetchval("SELECT count(*) FROM crm_leads") >= count:
        await connection.close()
        return
    began = perf_counter()
    await connection.execute("SET session_replication_role = replica; SET maintenance_work_mem = '512MB'")
    people = [(f"u{i}", f"u{i}@x.com", "admin" if i == ADMIN else "sales_rep") for i in range(1, USERS + 1)]
    await connection.executemany(
        "INSERT INTO crm_users (username, email, password, role) VALUES ($1, $2, 'x', $3)", people
    )
    await connection.copy_records_to_table("crm_leads", records=leads(count), columns=list(COLUMNS))
    searched = import_module("models.migrations.0005_lists").SEARCHED[0]
    await connection.execute(
        f"DROP INDEX {searched.index}_words;"
        f"INSERT INTO {searched.index} SELECT id, {searched.document('row')} FROM crm_leads AS row;"
        f"{searched.words_index}"
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    print(f"{count:,} leads made in {perf_counter() - began:.0f} s", flush=True)


Paths = Callable[[], str]


def lists(count: int) -> dict[str, tuple[int, Paths]]:
    """The lists asked for by name: whose, and the next path."""
    chance = random.Random(3)

    def one(pattern: str, **values: Callable[[], object]) -> tuple[int, Paths]:
        return ADMIN, lambda: "/api/v1/leads/?" + pattern.format(**{name: value() for name, value in values.items()})

    def user() -> int:
        return chance.randint(1, USERS)

    def status() -> str:
        return chance.choice(["new", "contacted", "qualified", "lost"])

    def deep() -> int:
        return chance.randint(count // 10, count * 9 // 10)

    def day() -> str:
        return str((datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=deep())).date())

    def rep(what: tuple[int, Paths]) -> tuple[int, Paths]:
        return REP, what[1]

    def company() -> int:
        return chance.randrange(COMPANIES)

    return {
        "no filter": one("cursor="),
        "no filter, page 1, counted": one("page=1"),
        "a rep's own": rep(one("cursor=")),
        "status": one("status={s}&cursor=", s=status),
        "status, page 1, counted": one("status={s}", s=status),
        "status, page 1, estimated": one("status={s}&count=estimate", s=status),
        "status 1 in 1,000, by lead_score": one("status=converted&ordering=-lead_score&cursor="),
        "status, by estimated_value": one("status={s}&ordering=-estimated_value&cursor=", s=status),
        "assigned_to, page 1, counted": one("assigned_to={u}", u=user),
        "assigned_to, by lead_score": one("assigned_to={u}&ordering=-lead_score&cursor=", u=user),
        "owner and status, by estimated_value": one(
            "owner={u}&status={s}&ordering=estimated_value&cursor=", u=user, s=status
        ),
        "priority in, score, by updated_at": one(
            "priority__in=high,urgent&lead_score__gte=90&ordering=-updated_at&cursor="
        ),
        "created_at__date, by lead_score": one("created_at__date={d}&ordering=-lead_score&cursor=", d=day),
        "status or score": one(
            'filter={{"or":[{{"status":"{s}"}},{{"lead_score__gte":95}}]}}&ordering=-lead_score&cursor=', s=status
        ),
        "page 2,500 (offset 50,000)": one("page=2500&count=none"),
        "page 40,000 (offset 800,000)": one("page=40000&count=none"),
        "search, 1 in 3,000": one("search=acme{c}+ltd", c=company),
        "search, a phone's digits": one("search={n:07}", n=lambda: chance.randrange(10_000_000)),
        "search, about 4,000": one("search=ann+acme{c}", c=lambda: chance.randint(10, 29)),
        "search, about 10,000": one("search=maria+smi", c=company),
        "search, about 10,000, by created_at": one("search=maria+smi&ordering=-created_at&cursor="),
        "search, a rep's, about 10,000": rep(one("search=maria+smi")),
        "search, 55,000 (anna)": one("search=anna"),
        "search, 370,000 (acme1)": one("search=acme1"),
        "search, all (com)": one("search=com"),
        "search, all (a)": one("search=a"),
        "search, a rep's, all (com)": rep(one("search=com")),
        "search, a rep's, 55,000 (anna)": rep(one("search=anna")),
        "search and status, all (com)": one("search=com&status={s}", s=status),
    }


def headers(user: int) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens.sign(SECRET, tokens.claim(tokens.Kind.ACCESS, user, 600))}"}


async def ask(http: aiohttp.ClientSession, path: str, user: int = ADMIN, **more: Any) -> tuple[float, Any]:
    """The milliseconds that an answer took, and what it was."""
    began = perf_counter()
    async with http.request(more.pop("method", "GET"), path, headers=headers(user), **more) as reply:
        body = await reply.read()
        assert reply.status < 300, body
    return (perf_counter() - began) * 1000, orjson.loads(body)


def told(name: str, took: list[float], cpu: float, target: float) -> None:
    """Print what requests took, and the processor seconds of hub and Postgres for all of them."""
    p95 = statistics.quantiles(took, n=20)[18]
    missed = "" if p95 < target else "   MISSED"
    times = f"p50 {statistics.median(took):7.1f}   p95 {p95:7.1f}   worst {max(took):7.1f} ms"
    print(f"{name:<38} {times}   processor {cpu / len(took) * 1000:6.1f} ms   target {target:4.0f}{missed}", flush=True)


async def cursors(http: aiohttp.ClientSession, ordering: str, count: int, number: int) -> list[str]:
    """The URLs of so many parts deep inside the list in that order."""
    chance = random.Random(5)
    keys = order(LEADS, ordering, Viewer(id=ADMIN, role=Role.ADMIN))
    found = []
    for _ in range(number):
        near = f"/api/v1/leads/?id__lte={chance.randint(count // 10, count)}&ordering=-id&page_size=1&cursor="
        _, body = await ask(http, near)
        values = [body["results"][0][key.name] for key in keys]
        cursor = Cursor(values=[None if value is None else str(value) for value in values])
        found.append(f"/api/v1/leads/?ordering={ordering}&cursor={cursor.text(keys)}")
    return found


async def latencies(
    http: aiohttp.ClientSession, count: int, requests: int, processes: Sequence[psutil.Process]
) -> None:
    async def measure(name: str, what: Callable[[], tuple[str, int]], target: float, **more: Any) -> None:
        for _ in range(8):
            path, user = what()
            await ask(http, path, user, **more)
        before, took = spent(*processes), []
        for _ in range(requests):
            path, user = what()
            took.append((await ask(http, path, user, **more))[0])
        told(name, took, spent(*processes) - before, target)

    for name, (user, path) in lists(count).items():
        broad = any(word in name for word in ("all (", "55,000", "370,000"))
        target = 300 if broad else 100 if name.startswith("search") else 50
        await measure(name, lambda path=path, user=user: (path(), user), target)  # type: ignore[misc]
    for ordering in ("-created_at", "-lead_score", "-estimated_value"):
        paths = cycle(await cursors(http, ordering, count, 20))
        await measure(f"deep by cursor, {ordering}", lambda paths=paths: (next(paths), ADMIN), 50)  # type: ignore[misc]
    await measure("create", lambda: ("/api/v1/leads/", ADMIN), 10, method="POST", json=LEAD)


BARE = """
    SELECT l.id, l.first_name, l.last_name, l.email, l.phone, l.company_name, l.lead_source, l.status, l.priority,
           l.assigned_to_id AS assigned_to, l.lead_score, l.estimated_value, l.created_at, l.updated_at,
           a.first_name || ' ' || a.last_name AS assigned_to_name, o.first_name || ' ' || o.last_name AS owner_name
    FROM crm_leads l LEFT JOIN crm_users a ON a.id = l.assigned_to_id LEFT JOIN crm_users o ON o.id = l.owner_id
    ORDER BY l.created_at DESC, l.id DESC LIMIT 21
"""


async def serve_bare(url: str, port: int) -> None:
    """A handler that does nothing but read the rows and answer them as JSON."""
    async with database.pool(url) as pool:

        async def index(_: web.Request) -> web.Response:
            rows = [dict(row) for row in await pool.fetch(BARE)]
            for row in rows:
                row["estimated_value"] = None if row["estimated_value"] is None else str(row["estimated_value"])
            body = {"count": None, "next": None, "previous": None, "results": rows[:20]}
            return web.Response(body=orjson.dumps(body, option=orjson.OPT_UTC_Z), content_type="application/json")

        app = web.Application()
        app.router.add_get("/", index)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


async def per_second(url: str, path: str, process: psutil.Process, requests: int) -> float:
    """List requests in a second of a process's own processor time."""
    async with aiohttp.ClientSession(url) as http:
        for _ in range(100):
            await ask(http, path)
        before = spent(process)
        paths = cycle([path])
        await asyncio.gather(*(_several(http, paths, requests // 4) for _ in range(4)))
        return requests / (spent(process) - before)


async def _several(http: aiohttp.ClientSession, paths: Iterator[str], requests: int) -> None:
    for _ in range(requests):
        await ask(http, next(paths))


async def throughput(url: str, hub: psutil.Process, base: str, folder: Path, requests: int) -> None:
    port = ports.free()
    argv = [sys.executable, "-m", "bench.records", "--serve", json.dumps([url, port])]
    bare = await spawn(argv, log=folder / "bare.log", environ=dict(os.environ))
    try:
        await _answering(f"http://127.0.0.1:{port}")
        ours = await per_second(base, "/api/v1/leads/?cursor=", hub, requests)
        theirs = await per_second(f"http://127.0.0.1:{port}", "/", psutil.Process(bare.pid), requests)
    finally:
        await stop(bare)
    print(f"lists of 20 per second of processor time: hub {ours:.0f}, bare {theirs:.0f}, {ours / theirs:.2f} of it")


async def _answering(base: str) -> None:
    async with aiohttp.ClientSession(base) as http, asyncio.timeout(30):
        while True:
            try:
                async with http.get("/"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


async def main(count: int, requests: int, kept: str | None) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(kept or stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = Postgres(folder / "postgres", log=folder / "postgres.log", options={"shared_buffers": "1GB"})
        stack.push_async_callback(postgres.stop)
        server = await postgres.start()
        await migrate.migrate(postgres.url())
        await fill(postgres.url(admin=True), count)
        hub, base = await hub_over(postgres.url(), folder)
        stack.push_async_callback(stop, hub)
        async with aiohttp.ClientSession(base) as http:
            await latencies(http, count, requests, [psutil.Process(one.pid) for one in (hub, server)])
        await throughput(postgres.url(), psutil.Process(hub.pid), base, folder, requests * 10)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--leads", type=int, default=1_000_000)
    options.add_argument("--requests", type=int, default=200)
    options.add_argument("--folder")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    given = options.parse_args()
    configure_log("json")
    uvloop.run(serve_bare(*json.loads(given.serve)) if given.serve else main(given.leads, given.requests, given.folder))
