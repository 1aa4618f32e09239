"""What a record request costs over REST: `python -m bench.requests [--seconds 5]`.

A few connections ask as fast as they are answered, against a whole `main.py up` with its demo data and agents. The
baseline of the same run is `/health/live`, which the hub answers without Postgres, token or access rules; each line
says how many times as long a request takes as that.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import perf_counter

import aiohttp

from tests.system.stack import Stack

CONNECTIONS = 8
LEADS = 300

LEAD = {"first_name": "Ida", "last_name": "Holt", "email": "ida@example.com"}

Ask = Callable[[], "aiohttp.client._RequestContextManager"]


async def ask(what: Ask, until: float) -> list[float]:
    """How long each answer took, in seconds, until that moment."""
    took = []
    while (began := perf_counter()) < until:
        async with what() as reply:
            assert reply.status < 300, await reply.text()
            await reply.read()
        took.append(perf_counter() - began)
    return took


async def measure(http: aiohttp.ClientSession, headers: dict[str, str], seconds: float) -> None:
    numbers = count()

    def lead() -> str:
        return f"/api/v1/leads/{next(numbers) % LEADS + 1}/"

    requests: dict[str, Ask] = {
        "GET /health/live": lambda: http.get("/health/live"),
        "GET one lead": lambda: http.get(lead(), headers=headers),
        "GET 20 leads": lambda: http.get("/api/v1/leads/", headers=headers),
        "GET 100 leads, filtered": lambda: http.get("/api/v1/leads/?priority=high&page_size=100", headers=headers),
        "PATCH a lead": lambda: http.patch(lead(), json={"notes": f"change {next(numbers)}"}, headers=headers),
        "POST a lead": lambda: http.post("/api/v1/leads/", json=LEAD, headers=headers),
        "POST a lead with a key": lambda: http.post(
            "/api/v1/leads/", json=LEAD, headers={**headers, "Idempotency-Key": f"bench-{next(numbers)}"}
        ),
    }
    baseline = 0.0
    for name, what in requests.items():
        until = perf_counter() + seconds
        rounds = await asyncio.gather(*(ask(what, until) for _ in range(CONNECTIONS)))
        took = [one for several in rounds for one in several]
        middle = statistics.median(took)
        baseline = baseline or middle
        p99 = statistics.quantiles(took, n=100)[98]
        print(
            f"{name:<24} {len(took) / seconds:7.0f}/s   p50 {middle * 1000:6.1f} ms   p99 {p99 * 1000:6.1f} ms"
            f"   {middle / baseline:5.1f} times the baseline",
            flush=True,
        )


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data")
        try:
            await stack.start()
            async with aiohttp.ClientSession(stack.url) as http:
                body = {"username": "ada", "password": "switchboard-demo"}
                async with http.post("/api/auth/login/", json=body) as reply:
                    headers = {"Authorization": f"Bearer {(await reply.json())['access']}"}
                await measure(http, headers, given.seconds)
        finally:
            await stack.stop()


if __name__ == "__main__":
    asyncio.run(main())
