"""How many requests this node takes of one user and from one address: a token bucket each, in memory.

A bucket is one number, the time at which it is full again, so a request costs a look into a dictionary. Every node
counts for itself; what must hold on all of them together is counted in Postgres (`hub/throttle.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from prometheus_client import Counter

from hub.errors import TooMany

#: Seconds' worth of requests that a full bucket holds.
WORTH = 5

#: Buckets before those that are full are forgotten, and if that is none, the older half.
MOST = 100_000


#: `tries` are those of `hub/throttle.py`.
REFUSED = Counter("hub_requests_refused_total", "Requests that were one too many, by the limit", ["limit"])


class Rate:
    """Buckets of one size."""

    def __init__(self, per_second: int, *, name: str = "user", clock: Callable[[], float] = time.monotonic) -> None:
        """0 `per_second` is no limit; `name` is what the metric calls it."""
        self._name = name
        self._cost = 1 / per_second if per_second else 0.0
        # A little more than it is, so that no request is one too many by a rounding error.
        self._room = WORTH - self._cost + 1e-6
        self._clock = clock
        self._full: dict[Hashable, float] = {}

    def take(self, key: Hashable) -> None:
        """Count a request. Raises TooMany."""
        if not self._cost:
            return
        now = self._clock()
        full = max(self._full.get(key, now), now)
        if full - now > self._room:
            REFUSED.labels(self._name).inc()
            raise TooMany(full - now - self._room)
        self._full[key] = full + self._cost
        if len(self._full) > MOST:
            self._forget(now)

    def _forget(self, now: float) -> None:
        left = {key: full for key, full in self._full.items() if full > now}
        self._full = left if len(left) <= MOST // 2 else dict(list(left.items())[-MOST // 2 :])


class Rates:
    """The limits of one node."""

    def __init__(self, *, user: int, address: int) -> None:
        """Requests a second of one user and from one address; 0 is no limit."""
        self.user = Rate(user)
        self.address = Rate(address, name="address")
