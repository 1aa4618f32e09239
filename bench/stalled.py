"""What clients that never read cost those that do.

    python -m bench.stalled [--stalled 1000] [--healthy 5] [--rate 500] [--seconds 60]

One hub over embedded engines, one channel, a publication of 1 KB at a steady rate. The same run is made without the
stalled clients and with them, one after the other; a delay is from the moment before a record is sent to the log to its
reading by a healthy client in this process. The delays of both runs stand beside each other, with the CPU seconds of
the hub and how much its memory (USS) grew after the channel's history was full.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import uvloop

from bench.publish import told
from engines.broker import Broker
from engines.postgres import Postgres
from models import migrate
from settings import Settings
from tests.system.crowd import Crowd, Outcome, one_hub, watch


async def measure(crowd: Crowd) -> Outcome:
    """One run over engines of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        postgres, broker = Postgres(folder / "postgres", log=folder / "postgres.log"), Broker(folder / "broker.log")
        await postgres.start()
        await broker.start()
        try:
            await migrate.migrate(postgres.url())
            settings = Settings(
                database_url=postgres.url(),
                kafka=broker.address,
                secret="a secret for the benchmark of the stalled",
                data=folder / "data",
                tail_fetch_wait=5,
            )
            async with one_hub(settings, folder, crowd) as hub:
                outcome = await watch(settings, hub, crowd)
        finally:
            await broker.stop()
            await postgres.stop()
    print(told(f"{crowd.stalled + crowd.late} stalled", outcome.delays))
    print(
        f"{'':<24} hub {outcome.cpu:.1f} CPU s, USS {outcome.warm / 1e6:.0f} MB when history was full, "
        f"{(outcome.end - outcome.warm) / 1e6:+.1f} MB at the end; closes {dict(outcome.closes)}",
        flush=True,
    )
    return outcome


async def main(given: argparse.Namespace) -> None:
    """Measure without the stalled and with them, and print the ratio."""
    late = given.stalled // 10
    crowd = Crowd(
        healthy=given.healthy,
        stalled=given.stalled - late,
        late=late,
        rate=given.rate,
        seconds=given.seconds,
        history=min(3_000, int(given.rate * given.seconds) // 4),
    )
    without = await measure(replace(crowd, stalled=0, late=0))
    beside = await measure(crowd)
    for share in (50, 99):
        ratio = _quantile(beside, share) / _quantile(without, share)
        print(f"with over without, p{share}   {ratio:.2f}")


def _quantile(outcome: Outcome, share: int) -> float:
    delays = sorted(outcome.delays)
    return delays[len(delays) * share // 100]


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--stalled", type=int, default=1_000)
    options.add_argument("--healthy", type=int, default=5)
    options.add_argument("--rate", type=int, default=500)
    options.add_argument("--seconds", type=float, default=60.0)
    uvloop.run(main(options.parse_args()))
