"""Noticing that an agent stands still.

Faust consumers have been seen to stop consuming without a word: still assigned, the log growing, nothing taken. Such
a worker cannot be helped from within, so it ends itself and lets its supervisor start another. An agent that backs
off from errors, or whose Postgres is away, is not standing still: it is waiting, and says so elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.catchup import Place
from streams.progress import Lag

#: Seconds without progress after which an assigned agent with work before it counts as stalled.
STALLED_AFTER = 30.0
#: The same while its group is being settled anew: a join may take long, but not for ever.
JOINING_AFTER = 120.0


class WorkerStalled(Exception):
    """An agent of this worker has work before it and does none of it."""


class MemberStopped(Exception):
    """Faust stopped consuming for an agent by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What is to be seen of one agent in this worker."""

    #: Partitions this worker has.
    assigned: frozenset[Place]
    #: Whether its group is being settled anew, so that it cannot be expected to take anything.
    joining: bool
    #: Whether it backs off from errors.
    failing: bool
    #: How far it is behind, in every place it reads.
    lags: Mapping[Place, Lag]

    @property
    def waiting(self) -> int:
        """Events on the log that this worker should take; while joining, that anybody should."""
        return sum(
            max(0, lag.sent - lag.n) for place, lag in self.lags.items() if self.joining or place in self.assigned
        )

    @property
    def position(self) -> int:
        """Grows with every event taken, by whomever."""
        return sum(lag.n for lag in self.lags.values())


class Watchdog:
    """Watches one agent. Times are seconds of one clock that does not go backwards."""

    def __init__(self, agent: str, now: float) -> None:
        self._agent = agent
        self._since = now
        self._position = -1

    def unknown(self, now: float) -> None:
        """Nothing could be seen: Postgres is away."""
        self._since = now

    def see(self, sight: Sight, now: float) -> None:
        """Note what is to be seen now. Raises WorkerStalled when it has been the same for too long."""
        if sight.position != self._position or sight.failing or not sight.waiting:
            self._position = sight.position
            self._since = now
            return
        still = now - self._since
        if still >= (JOINING_AFTER if sight.joining else STALLED_AFTER):
            raise WorkerStalled(
                f"The agent {self._agent} has taken nothing for {still:.0f} s while {sight.waiting} events wait "
                f"({'joining its group' if sight.joining else f'{len(sight.assigned)} partitions assigned'}); "
                "the worker ends so that it can be started again."
            )
