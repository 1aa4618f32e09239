"""JSON comes back as it went, whatever its numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import exact

NUMBERS = st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | NUMBERS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def _written(value: Any) -> str:
    """JSON by the plainest way there is."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(k)}: {_written(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_written, value)) + "]"
        case Decimal():
            return str(value)
        case _:
            return json.dumps(value)


def _plain(value: Any) -> Any:
    """Whole numbers and decimals alike as Decimal."""
    match value:
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case list():
            return [_plain(v) for v in value]
        case bool() | None | str():
            return value
        case _:
            return Decimal(value)


@given(VALUES)
def test_there_and_back(value: Any) -> None:
    text = _written({"v": value})
    read = exact.loads(text)
    assert _plain(read) == _plain({"v": value})
    assert _plain(exact.loads(exact.dumps(read))) == _plain(read)


@pytest.mark.parametrize("text", ['{"a":1250.50}', '{"a":[1,123456789012345678901234,-0.00]}', '{"a":"1.50"}'])
def test_the_same_text(text: str) -> None:
    assert exact.dumps(exact.loads(text)) == text


@pytest.mark.parametrize("text", ["", "{", '{"a":1.}', "[" * 100_000 + "1.5" + "]" * 100_000, '{"a":NaN}'])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        exact.loads(text)


def test_what_cannot_be_written() -> None:
    with pytest.raises(orjson.JSONEncodeError):
        exact.dumps({"a": object()})
