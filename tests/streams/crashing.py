"""A relay that kills its own process at a step: `python -m tests.streams.crashing STEP TIMES`, settings from HUB_*.

Steps: before or after events are numbered, a batch is delivered, marks are moved; `sending` dies with a batch on its
way. TIMES is how often the step goes well first.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence

import uvloop

import settings
from streams.layout import Partition
from streams.ledger import Numbered, Row
from streams.records import Record
from streams.relay import Relay
from streams.term import Term

STEPS = ("numbering", "numbered", "sending", "delivering", "delivered", "marking", "marked")


class Crashing(Term):
    """A term of office that ends the process at `step`."""

    step = ""
    times = 0

    def reach(self, step: str) -> None:
        """Die here if this is the step and it went well often enough."""
        if step == Crashing.step:
            if Crashing.times == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            Crashing.times -= 1

    async def number(self, rows: Sequence[Row]) -> list[Numbered]:
        self.reach("numbering")
        events = await super().number(rows)
        self.reach("numbered")
        return events

    async def deliver(self, place: Partition, records: Sequence[Record]) -> None:
        self.reach("delivering")
        sending = asyncio.create_task(super().deliver(place, records))
        await asyncio.sleep(0.0005)
        self.reach("sending")
        await sending
        self.reach("delivered")

    async def mark(self, sent: Mapping[Partition, int]) -> None:
        self.reach("marking")
        await super().mark(sent)
        self.reach("marked")


if __name__ == "__main__":
    Crashing.step, Crashing.times = sys.argv[1], int(sys.argv[2])
    uvloop.run(Relay(settings.read(), term=Crashing).run())
