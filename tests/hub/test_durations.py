"""Durations as Go writes them."""

import pytest

from hub import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("25s", 25),
        ("720h", 2_592_000),
        ("1m30s", 90),
        ("1h0m0.5s", 3600.5),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1),
        ("300ms", 0.3),
        ("20µs", 20e-6),
        ("7us", 7e-6),
        ("5ns", 5e-9),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    assert durations.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "+5s", "5d", "1h 2m", ".s", "1..5s", "٣s", "99999999h", "5S"]
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        durations.parse(text)


@pytest.mark.parametrize("text", ["25s", "720h", "90s", "1m", "300ms", "0s"])
def test_what_is_shown_is_read_back(text: str) -> None:
    assert durations.show(durations.parse(text)) == text
