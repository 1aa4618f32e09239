"""Wherever a CSV file is cut, the same records come out of it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.imports import pieces
from models.imports.detection import ENCODINGS
from models.resources.mistakes import Mistake

CELLS = st.text(st.sampled_from("ab,;\"\n\r'é\t "), max_size=8)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=12)


def written(table: list[list[str]], end: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(table)
    return text.getvalue()


@given(TABLES, st.sampled_from(ENCODINGS), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 60), st.booleans())
def test_records_are_the_same_however_it_is_cut(
    table: list[list[str]], encoding: str, end: str, step: int, marked: bool
) -> None:
    mark = "\ufeff" if marked and encoding.startswith("utf") else ""
    data = (mark + written(table, end)).encode(encoding)
    at, length, found = 0, step, []
    while at < len(data):
        piece = data[at : at + length]
        last = at + len(piece) == len(data)
        got = pieces.records(piece, encoding, ",", first=at == 0, last=last)
        found += got.records
        at += got.size
        length = step if got.size else length * 2
    assert found == table


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(Mistake, match="not utf-8: bytes ff"):
        pieces.records(b"a,b\n\xff,c\n", "utf-8", ",", first=True, last=True)
    with pytest.raises(Mistake, match="quotation mark"):
        pieces.records(b'a,"b' + b"x" * 200_000, "utf-8", ",", first=True, last=True)
