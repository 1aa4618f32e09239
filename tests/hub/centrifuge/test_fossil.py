"""Deltas, against the one that an official client applies."""

from __future__ import annotations

import json
import random
import time

import pytest
from centrifuge.fossil import apply_delta
from centrifuge.fossil import checksum as official_checksum
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.centrifuge.fossil import DeltaError, apply, checksum, create

SIZE = 100_000


def works(old: bytes, new: bytes) -> bytes:
    delta = create(old, new)
    assert apply(old, delta) == new
    assert apply_delta(old, delta) == new
    return delta


@pytest.mark.parametrize(
    ("old", "new", "delta"),
    [
        (b"", b"", b"0\n0;"),
        (b"", b"abc", b"3\n3:abc1XObC0;"),
        (b"abc", b"", b"0\n0;"),
        (b"0123456789abcdef", b"0123456789abcdef", b"G\nG@0,12xn;"),
        (b"0123456789abcdef", b"0123456789-abcdef", b"H\nA@0,7:-abcdef1a0kdl;"),
    ],
)
def test_literal(old: bytes, new: bytes, delta: bytes) -> None:
    assert works(old, new) == delta


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_texts(old: bytes, new: bytes) -> None:
    works(old, new)


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str]:
    """A text and what became of it."""
    letters = st.text(alphabet=draw(st.sampled_from(["ab", "aé€😀", '{}":,01 lead'])), max_size=40)
    pieces = draw(st.lists(letters, max_size=20))
    old = "".join(pieces)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(pieces)))
        pieces[at : at + draw(st.integers(0, 3))] = draw(st.lists(letters | st.sampled_from([*pieces, ""]), max_size=3))
    return old, "".join(pieces)


@settings(max_examples=1000, deadline=None)
@given(edited())
def test_similar_texts(texts: tuple[str, str]) -> None:
    old, new = (text.encode() for text in texts)
    works(old, new).decode()  # it can stand in a JSON string


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=70))
def test_checksum(text: bytes) -> None:
    assert checksum(text) == official_checksum(text)
    assert checksum(b"\xff" * 5000 + text) == official_checksum(b"\xff" * 5000 + text)


def lead(**changed: object) -> bytes:
    """About 1 KB of JSON."""
    fields: dict[str, object] = {f"field_{n}": f"value {n * n} of no. {n}" for n in range(30)}
    return json.dumps(fields | changed).encode()


@pytest.mark.parametrize("changed", [{"field_0": "x"}, {"field_15": "somebody else"}, {"field_29": 5}])
def test_one_changed_field_is_a_small_delta(changed: dict[str, object]) -> None:
    old, new = lead(), lead(**changed)
    assert 950 < len(old) < 1100
    assert len(works(old, new)) < 0.08 * len(new)


def test_three_changed_fields_are_a_small_delta() -> None:
    new = lead(field_3="first", field_14="second and longer", field_27="third")
    assert len(works(lead(), new)) < 0.15 * len(new)


def test_what_has_moved_is_found() -> None:
    parts = [random.Random(n).randbytes(100) for n in range(6)]
    assert len(works(b"".join(parts), b"".join(reversed(parts)))) < 150


def words(seed: int, alphabet: bytes) -> bytes:
    """The same window again and again, with something else behind."""
    letters = random.Random(seed)
    return b"".join(b"abcdefghijklmnop%c" % letters.choice(alphabet) for _ in range(SIZE // 17))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a" * SIZE, b"a" * SIZE),
        (b"b" + b"a" * SIZE, b"c" + b"a" * SIZE + b"d"),
        (b"ab" * (SIZE // 2), b"ba" * (SIZE // 2) + b"c"),
        (b"x" + b"\x80" * SIZE + b"x", b"y" + b"\x80" * SIZE + b"y"),
        (random.Random(1).randbytes(SIZE), random.Random(2).randbytes(SIZE)),
        (b"1" + words(1, b"qrstu") + b"2", b"3" + words(2, b"vwxyz") + b"4"),
    ],
)
def test_the_worst_texts_take_little_time(old: bytes, new: bytes) -> None:
    begun = time.process_time()
    delta = create(old, new)
    assert time.process_time() - begun < 1
    assert apply(old, delta) == new


OLD = b"0123456789abcdef"
GOOD = create(OLD, b"0123456789-abcdef")


@pytest.mark.parametrize(
    "delta",
    [
        b"",
        b"H",
        b"\n",
        b"H\n",
        b"!\n",
        b"H\nA@0,7:-abcdef",
        b"H\nA@0;7:-abcdef1a0kdl;",
        b"H\nA@7,7:-abcdef1a0kdl;",
        b"H\nA@0,7:-abcdef1a0kdm;",
        b"I\nA@0,7:-abcdef1a0kdl;",
        b"G\nA@0,7:-abcdef1a0kdl;",
        b"H\nA@0,~:-abcdef1a0kdl;",
        b"1111111\n",
        GOOD + b"x",
        GOOD[:-1],
    ],
)
def test_no_delta(delta: bytes) -> None:
    with pytest.raises(DeltaError):
        apply(OLD, delta)


def test_a_delta_to_another_text_is_refused() -> None:
    with pytest.raises(DeltaError):
        apply(b"0123456789abcdeX"[::-1], GOOD)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=40))
def test_no_delta_is_too_strange(delta: bytes) -> None:
    try:
        apply(OLD, delta)
    except DeltaError:
        pass
