"""Which new passwords are refused, and which are not."""

from __future__ import annotations

import pytest

from models.password_rules import COMMON, LONGEST, mistakes

ANN = ("ann.ruud", "ann.ruud@fjordbank.example", "Ann", "Ruud")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("k9#Lm2!vQx4", "too short"),
        ("830174652938", "entirely numeric"),
        ("aaaaaaaaaaaaa", "too common"),
        ("abababababab", "too common"),
        ("password1234", "too common"),
        ("P@ssw0rd!2024", "too common"),
        ("passwordpassword", "too common"),
        ("Qwertyuiop123", "too common"),
        ("switchboard-demo", "too common"),
        ("2024-Summer-2024", "too common"),
        ("ann.ruud.1987", "too similar"),
        ("Fjordbank2024!", "too similar"),
        ("ann.ruud@fjordbank", "too similar"),
        ("x" * (LONGEST + 1), "At most"),
    ],
)
def test_refused(password: str, said: str) -> None:
    assert any(said in mistake for mistake in mistakes(password, ANN)), mistakes(password, ANN)


@pytest.mark.parametrize(
    "password",
    ["three lamps, one window", "a horse on the right", "kJ8#mQ2!zR5v", "пятьстульевнакухне", "annual picnic 19"],
)
def test_accepted(password: str) -> None:
    assert mistakes(password, ANN) == []


def test_everything_wrong_is_said_at_once_and_nothing_known_is_fine() -> None:
    assert len(mistakes("1111", ANN)) == 3
    assert mistakes("three lamps, one window", ("", "")) == []
    assert all(word == word.lower() for word in COMMON)
