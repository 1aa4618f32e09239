"""What the log does not bring is noticed, and what it is bringing is left to it."""

from __future__ import annotations

from streams.catchup import Place
from streams.progress import Lag
from streams.silence import PATIENCE, Silence

A, B = Place("crm.changes", 0), Place("crm.changes", 1)
BOTH = frozenset({A, B})


def lags(a: int, b: int, numbered: int = 100) -> dict[Place, Lag]:
    """Where an agent stands in two places."""
    return {A: Lag(n=a, numbered=numbered, sent=numbered), B: Lag(n=b, numbered=numbered, sent=numbered)}


def test_a_silent_log_is_caught_up_once() -> None:
    silence = Silence()
    assert silence.missed(BOTH, lags(100, 5)) == []
    assert silence.missed(BOTH, lags(100, 5)) == [B]
    assert silence.missed(BOTH, lags(100, 5)) == []


def test_a_log_that_brings_something_is_left_to_it() -> None:
    silence = Silence()
    for n in range(PATIENCE):
        assert silence.missed(BOTH, lags(n, 5)) == []
    assert set(silence.missed(BOTH, lags(99, 5))) == BOTH


def test_partitions_that_come_later_are_looked_at_too() -> None:
    silence = Silence()
    assert silence.missed(frozenset({A}), lags(100, 5)) == []
    assert silence.missed(frozenset({A}), lags(100, 5)) == []
    assert silence.missed(BOTH, lags(100, 5)) == []
    assert silence.missed(BOTH, lags(100, 5)) == [B]
    assert silence.missed(frozenset(), lags(0, 0)) == []


def test_a_rebuild_is_noticed() -> None:
    silence = Silence()
    for _ in range(3):
        assert silence.missed(BOTH, lags(100, 100)) == []
    assert silence.missed(BOTH, lags(100, 0)) == [B]
    assert silence.missed(BOTH, lags(100, 0)) == []
