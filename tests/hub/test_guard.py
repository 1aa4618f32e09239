"""What a tail's positions may and may not be."""

import pytest

from hub.guard import STALLED, Progress, Stalled
from streams.log import LogError


def test_a_tail_that_moves_or_has_nothing_to_read_is_well() -> None:
    progress = Progress()
    for second in range(200):
        progress.check(0, second, 1_000, float(second))
        progress.check(1, 7, 7, float(second))
    progress.check(1, 7, 8, 200.0)


def test_records_that_wait_for_long_mean_a_stall() -> None:
    progress = Progress()
    progress.check(0, 5, 9, 0.0)
    progress.check(0, 5, 12, STALLED - 1)
    with pytest.raises(Stalled):
        progress.check(0, 5, 12, STALLED)


def test_an_end_before_what_was_read_means_another_log() -> None:
    with pytest.raises(LogError, match="newlog"):
        Progress().check(3, 10, 9, 0.0)
