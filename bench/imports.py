"""How fast leads come in and go out as files: `python -m bench.imports [--rows 100000] [--apart]`.

A whole `main.py up` is given a CSV of leads over REST: upload, dry run, run, export as CSV and XLSX, with the memory of
hub and worker beside the numbers. The worker of `up` also derives audit, timeline and live frames of every lead while
it imports; with `--apart` the jobs have a worker of their own beside it. The baseline of the same run is a bare COPY of
the same rows and an INSERT … SELECT of them into the captured table, without any judgement.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter

import aiohttp
import asyncpg
import psutil

from engines import ports
from engines.child import spawn, stop
from models.database import Context
from tests.system.stack import ROOT, Stack

MAPPED = "first_name,last_name,email,phone,company_name,job_title,lead_source,status,priority"
SOURCES = ("website", "referral", "social_media", "email_campaign")
MEGABYTE = 1024 * 1024
#: Rows of the baseline.
PLAIN = 100_000

INSERT = f"""
INSERT INTO crm_leads ({MAPPED})
SELECT cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7], cells[8], cells[9] FROM plain
"""


def write(file: Path, rows: int) -> None:
    """A file of leads, all different."""
    with file.open("w") as text:
        text.write(MAPPED + "\n")
        for n in range(rows):
            text.write(
                f"First{n},Last{n % 9973},lead{n}@example.com,+49 30 {n % 1000000:06d},Company {n % 20011},"
                f"Engineer,{SOURCES[n % 4]},new,medium\n"
            )


class Memory:
    """The most memory processes had at a time, in megabytes, beside what they had before."""

    def __init__(self, **processes: psutil.Process) -> None:
        self._processes = processes
        self.most: dict[str, float] = {}

    async def watch(self) -> None:
        while True:
            for name, process in self._processes.items():
                used = process.memory_info().rss / MEGABYTE
                self.most[name] = max(self.most.get(name, 0), used)
            await asyncio.sleep(0.2)

    def told(self) -> str:
        told = ", ".join(f"{name} {most:.0f} MB" for name, most in self.most.items())
        self.most.clear()
        return told


async def timed(what: str, rows: int, memory: Memory, work: Callable[[], Awaitable[object]]) -> float:
    memory.most.clear()
    began = perf_counter()
    await work()
    rate = rows / (perf_counter() - began)
    print(f"{what:<28} {rate:9,.0f} rows/s   most memory: {memory.told()}", flush=True)
    return rate


async def finished(http: aiohttp.ClientSession, job: str) -> None:
    while True:
        async with http.get(f"/api/v1/jobs/{job}/") as reply:
            body = await reply.json()
        if body["status"] not in ("pending", "running"):
            assert body["status"] == "completed", body
            return
        await asyncio.sleep(0.1)


async def imported(http: aiohttp.ClientSession, id: str, verb: str) -> None:
    async with http.post(f"/api/v1/imports/{id}/{verb}/") as reply:
        assert reply.status == 202, await reply.text()
        job = (await reply.json())["id"]
    await finished(http, job)


async def exported(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path, timeout=aiohttp.ClientTimeout(None)) as reply:
        assert reply.status == 200, await reply.text()
        async for _ in reply.content.iter_chunked(MEGABYTE):
            pass


async def baseline(database: str, file: Path) -> float:
    """Rows per second of a COPY and an INSERT … SELECT alone, of the first rows, rolled back."""
    connection = await asyncpg.connect(database)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("CREATE TEMPORARY TABLE plain (cells text[])")
        with file.open() as text:
            next(text)
            records = [(line.rstrip("\n").split(","),) for line in islice(text, PLAIN)]
        began = perf_counter()
        await connection.copy_records_to_table("plain", records=records, columns=["cells"])
        await connection.execute("SELECT set_config('hub.context', $1, true)", Context(source="job").json())
        await connection.execute(INSERT)
        return len(records) / (perf_counter() - began)
    finally:
        await transaction.rollback()
        await connection.close()


@asynccontextmanager
async def alone(stack: Stack) -> AsyncIterator[psutil.Process]:
    """A worker that does nothing but jobs, beside the one of `up`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment |= {"HUB_DATA": str(stack.data), "HUB_WORKER_PORT": str(ports.free())}
    argv = [sys.executable, str(ROOT / "main.py"), "worker", "--agents", "jobs"]
    process = await spawn(argv, log=stack.data.with_suffix(".jobs.log"), environ=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        await stop(process)


async def measure(stack: Stack, folder: Path, rows: int, apart: bool) -> None:
    file = folder / "leads.csv"
    write(file, rows)
    async with AsyncExitStack() as opened:
        http = await opened.enter_async_context(aiohttp.ClientSession(stack.url))
        body = {"username": "ada", "password": "switchboard-demo"}
        async with http.post("/api/auth/login/", json=body) as reply:
            http.headers["Authorization"] = f"Bearer {(await reply.json())['access']}"
        processes = {"hub": stack.find("hub"), "worker": stack.find("worker")}
        if apart:
            processes["jobs"] = await opened.enter_async_context(alone(stack))
        memory = Memory(**processes)
        watching = asyncio.create_task(memory.watch())
        await asyncio.sleep(1)
        print(f"before: {memory.told()}")
        ids: list[str] = []

        async def upload() -> None:
            form = aiohttp.FormData({"type": "leads"})
            with file.open("rb") as data:
                form.add_field("file", data, filename="leads.csv")
                async with http.post("/api/v1/imports/", data=form, timeout=aiohttp.ClientTimeout(None)) as reply:
                    assert reply.status == 201, await reply.text()
                    ids.append((await reply.json())["id"])

        await timed("upload", rows, memory, upload)
        await timed("dry run", rows, memory, partial(imported, http, ids[0], "dry_run"))
        rate = await timed("import", rows, memory, partial(imported, http, ids[0], "run"))
        for form in ("csv", "xlsx"):
            await timed(f"export {form}", rows, memory, partial(exported, http, f"/api/v1/export/leads/?format={form}"))
        bare = await baseline(stack.database, file)
        print(f"{'COPY and INSERT alone':<28} {bare:9,.0f} rows/s   ratio of the import {rate / bare:.2f}")
        watching.cancel()


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--apart", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data")
        try:
            await stack.start()
            await measure(stack, Path(folder), given.rows, given.apart)
        finally:
            await stack.stop()


if __name__ == "__main__":
    asyncio.run(main())
