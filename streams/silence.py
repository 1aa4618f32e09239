"""What the log will not bring by itself.

A record shows by its number that others are missing before it. But none may come: the agent was away for longer than
the log keeps, the log is a new one, or `rebuild` set the agent back. Then what is missing is taken from `events`.
"""

from __future__ import annotations

from collections.abc import Mapping

from streams.catchup import Place
from streams.progress import Lag

#: Looks after which partitions that are new to a worker are caught up even though others keep it busy.
PATIENCE = 30


class Silence:
    """Looks at one agent of one worker, from time to time."""

    def __init__(self) -> None:
        #: Partitions that came to this worker and were not found to be in order yet; looks since the last came.
        self._new: set[Place] = set()
        self._looks = 0
        self._stood: dict[Place, int] = {}

    def missed(self, assigned: frozenset[Place], lags: Mapping[Place, Lag]) -> list[Place]:
        """Places to catch up: those set back since the last look, and new ones that are behind on a silent log."""
        stands = {place: lags[place].n for place in assigned}
        stood, self._stood = self._stood, stands
        back = [place for place, n in stands.items() if n < stood.get(place, 0)]
        if came := assigned - stood.keys():
            self._new |= came
            self._looks = 0
            return back
        self._new &= assigned
        self._looks += 1
        if stands != stood and self._looks < PATIENCE:
            return back
        behind = [place for place in self._new if lags[place].n < lags[place].numbered]
        self._new.clear()
        return back + behind
