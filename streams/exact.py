"""JSON without loss: money keeps its cents and a number of any size its digits, from a row to what is derived from it.

Postgres keeps any number exactly in jsonb; a float does not. The fast parser is used where no number can suffer.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import orjson

#: A number that a float or 64 bits might not hold, wherever a number can stand. A string that looks like one only
#: costs time.
_DELICATE = re.compile(rb"[:\[,]\s*-?(?:\d+[.eE]|\d{16})")

#: Digits a whole number may have to be an int, which orjson can write again.
_SAFE_DIGITS = 18


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= _SAFE_DIGITS else Decimal(text)


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=_whole)


def loads(text: bytes | str) -> Any:
    """The value of a JSON text; numbers with a fraction or very many digits are Decimal. Raises ValueError."""
    raw = text.encode() if isinstance(text, str) else text
    if _DELICATE.search(raw) is None:
        return orjson.loads(raw)
    try:
        return _DECODER.decode(raw.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _fragment(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no JSON")


def dumps(value: Any) -> str:
    """The JSON text of a value from `loads`."""
    return orjson.dumps(value, default=_fragment).decode()
