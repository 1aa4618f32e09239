"""What deltas save and cost: bytes of a frame, and CPU to make it once for all clients of a node.

python -m bench.deltas [--publications 200]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import orjson

from actors.channel import Codec, Publication
from actors.log import Record
from hub.centrifuge import deltas
from hub.centrifuge.deltas import Fossil
from hub.centrifuge.json_codec import CENTRIFUGE_JSON

DICE = random.Random(1)


def lead(n: int) -> dict[str, Any]:
    """A record of which one field changes."""
    return {"id": 7, "name": "Acme Incorporated", "notes": "They asked for a call next week. " * 20, "score": n}


def prices(rows: int, changed: int) -> Callable[[int], Any]:
    """A table of which some rows change each time."""
    table = [{"symbol": f"S{row:04}", "price": 100.0, "volume": 1000 + row} for row in range(rows)]

    def next(n: int) -> Any:
        for row in DICE.sample(range(rows), changed):
            table[row] = {**table[row], "price": round(DICE.uniform(1, 999), 2), "volume": DICE.randrange(10**6)}
        return table

    return next


CASES: dict[str, Callable[[int], Any]] = {
    "a record, one field": lead,
    "a table of 100 rows, 3 change": prices(100, 3),
    "a table of 100 rows, all change": prices(100, 100),
    "a table of 500 rows, 3 change": prices(500, 3),
}


def publications(make: Callable[[int], Any], count: int) -> list[Publication]:
    """What is said on one channel."""
    return [
        Publication(
            Record(
                offset=n, timestamp=0, kind="publication", channel="c", id="", payload=orjson.dumps(make(n)), delta=True
            ),
            n + 1,
        )
        for n in range(count)
    ]


def encode(codec: Codec, said: Sequence[Publication]) -> tuple[float, float]:
    """Mean bytes of a frame, and seconds to make it."""
    began = time.process_time()
    size = sum(len(one.frame(codec, before)) for before, one in pairwise(said))
    return size / (len(said) - 1), (time.process_time() - began) / (len(said) - 1)


def main() -> None:
    """Print a line for each case."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--publications", type=int, default=200)
    count = arguments.parse_args().publications
    deltas.FOSSIL = Fossil(share=1e9, burst=1e9)
    print(f"{'':34} {'whole':>8} {'delta':>8} {'of it':>6} {'CPU whole':>10} {'CPU delta':>10}")
    for what, make in CASES.items():
        said = publications(make, count)
        whole, cost = encode(CENTRIFUGE_JSON, said)
        size, delta_cost = encode(deltas.codec(CENTRIFUGE_JSON).after(True), said)
        print(
            f"{what:34} {whole:>7,.0f}B {size:>7,.0f}B {size / whole:>6.1%} {cost * 1e3:>7.3f} ms "
            f"{delta_cost * 1e3:>7.3f} ms"
        )


if __name__ == "__main__":
    main()
