"""Ticks: the clock of the publications log.

Partition time moves only by these records, which the relay writes to every partition of `hub.publications` every ten
seconds with Postgres' clock. A tick also says which numbered record came last before it, so that a new relay finds
its predecessor's end within ten seconds of log, however much came from outside.
"""

from __future__ import annotations

from datetime import datetime

from streams import envelope
from streams.records import Record

#: Seconds between two ticks of a partition.
INTERVAL = 10.0

#: Number and event id of the last numbered record before the tick.
LAST_N = "ce_lastsequence"
LAST_ID = "ce_lastid"
#: Before the first numbered record.
NONE_YET = (0, 0)


def tick(time: datetime, *, last: tuple[int, int]) -> Record:
    """A tick of partition time; `last` is (n, event id) of the numbered record before it, or NONE_YET."""
    headers = envelope.publication_headers(type=envelope.TICK, id=f"tick-{time.timestamp():.3f}", time=time)
    headers += [(LAST_N, f"{last[0]:020d}".encode()), (LAST_ID, str(last[1]).encode())]
    return Record(b"", b"", headers)


class Clock:
    """Postgres' clock as partitions may see it: never backwards, even when a failover sets it back."""

    def __init__(self, *, at_least: datetime | None = None) -> None:
        self._latest = at_least

    def read(self, now: datetime) -> datetime:
        """The time to tick, given Postgres' own."""
        if self._latest is None or now > self._latest:
            self._latest = now
        return self._latest
