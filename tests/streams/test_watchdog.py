"""An agent that stands still is noticed, one that waits for a reason is not."""

from __future__ import annotations

import pytest

from streams.catchup import Place
from streams.progress import Lag
from streams.watchdog import JOINING_AFTER, STALLED_AFTER, Sight, Watchdog, WorkerStalled

PLACE, OTHER = Place("crm.changes", 0), Place("crm.changes", 1)


def sight(*, n: int = 5, sent: int = 9, joining: bool = False, failing: bool = False, place: Place = PLACE) -> Sight:
    """One agent with one place in this worker."""
    return Sight(
        assigned=frozenset({PLACE}),
        joining=joining,
        failing=failing,
        lags={place: Lag(n=n, numbered=sent, sent=sent)},
    )


def test_no_progress_with_work_to_do() -> None:
    dog = Watchdog("audit", now=0)
    dog.see(sight(), now=0)
    dog.see(sight(), now=STALLED_AFTER - 1)
    with pytest.raises(WorkerStalled, match="audit has taken nothing for 30 s while 4 events wait"):
        dog.see(sight(), now=STALLED_AFTER)


@pytest.mark.parametrize(
    "reason",
    [sight(n=9), sight(failing=True), sight(place=OTHER), sight(n=5, sent=5)],
    ids=["done", "backing off", "not its own", "nothing sent"],
)
def test_nothing_to_blame(reason: Sight) -> None:
    dog = Watchdog("audit", now=0)
    for now in range(0, 1000, 10):
        dog.see(reason, now=now)


def test_progress_and_a_postgres_that_is_away_start_the_time_anew() -> None:
    dog = Watchdog("audit", now=0)
    for i in range(20):
        dog.see(sight(n=i, sent=100), now=i * (STALLED_AFTER - 1))
    for i in range(20, 40):
        dog.unknown(now=i * (STALLED_AFTER - 1))
    dog.see(sight(n=19, sent=100), now=40 * (STALLED_AFTER - 1))


def test_a_join_takes_longer_but_not_for_ever() -> None:
    dog = Watchdog("audit", now=0)
    dog.see(sight(joining=True), now=0)
    dog.see(sight(joining=True), now=JOINING_AFTER - 1)
    with pytest.raises(WorkerStalled, match="joining its group"):
        dog.see(sight(joining=True), now=JOINING_AFTER)
