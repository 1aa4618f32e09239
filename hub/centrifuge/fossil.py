"""Deltas in Fossil's format: how to make a text from the one before.

A delta is the size of the result and a newline, then segments, then the checksum of the result and a semicolon. A
segment is either `count@offset,`, bytes to copy from the old text, or `count:` and new bytes. Numbers are written in
base 64.

Where a delta goes into a JSON string it must be text itself, so no segment begins or ends inside a UTF-8 character.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator, Mapping
from operator import attrgetter
from struct import unpack
from typing import NamedTuple

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_SIZE = re.compile(rb"([0-9A-Z_a-z~]{1,6})\n")
_SEGMENT = re.compile(rb"([0-9A-Z_a-z~]{1,6})(?:@([0-9A-Z_a-z~]{1,6}),|([:;]))")

#: Old text is known again by windows of so many bytes, one at every STRIDE.
WINDOW, STRIDE = 16, 8

#: A copy must be so long to be shorter than what it copies. A window is, even without parts of characters at its ends,
#: so nothing that was found is looked at twice.
WORTH = WINDOW - 6

#: Places looked at when a window stands in the old text many times: those next to where the last copy went on.
NEAREST = 4


class DeltaError(ValueError):
    """Not a delta, or one to another text."""


class Match(NamedTuple):
    """Bytes the new text shares with the old one."""

    old: int
    new: int
    size: int


def create(old: bytes, new: bytes) -> bytes:
    """The delta that makes `new` from `old`. It may be longer than `new` if they have nothing in common."""
    parts = [_number(len(new)), b"\n"]
    at = 0
    for match in _matches(old, new):
        if at < match.new:
            parts += (_number(match.new - at), b":", new[at : match.new])
        parts.append(b"%b@%b," % (_number(match.size), _number(match.old)))
        at = match.new + match.size
    if at < len(new):
        parts += (_number(len(new) - at), b":", new[at:])
    parts += (_number(checksum(new)), b";")
    return b"".join(parts)


def apply(old: bytes, delta: bytes) -> bytes:
    """The text a delta makes from `old`. Raises DeltaError."""
    head = _SIZE.match(delta)
    if head is None:
        raise DeltaError("the size is missing")
    size, made, at = _value(head[1]), 0, head.end()
    parts: list[bytes] = []
    while (segment := _SEGMENT.match(delta, at)) is not None:
        count, at = _value(segment[1]), segment.end()
        if segment[3] == b";":
            return _checked(b"".join(parts), size, count, at == len(delta))
        source, start = (old, _value(segment[2])) if segment[2] else (delta, at)
        at += 0 if segment[2] else count
        made += count
        if start + count > len(source) or made > size:
            raise DeltaError("a segment reaches beyond the end")
        parts.append(source[start : start + count])
    raise DeltaError("no segment")


def checksum(text: bytes) -> int:
    """The sum of its big-endian 32-bit words, the last one filled up with zeros."""
    words = -(-len(text) // 4)
    total: int = sum(unpack(f">{words}I", text.ljust(words * 4, b"\0")))
    return total & 0xFFFFFFFF


def _checked(text: bytes, size: int, sum: int, whole: bool) -> bytes:
    if len(text) != size or checksum(text) != sum or not whole:
        raise DeltaError("the result is another text")
    return text


def _matches(old: bytes, new: bytes) -> Iterator[Match]:
    """What both texts share, in the order of the new one: their beginning, their end, and what is found between."""
    shorter = min(len(old), len(new))
    head = _common(old, 0, new, 0, shorter)
    rest = shorter - head
    tail = _common(old[len(old) - rest :][::-1], 0, new[len(new) - rest :][::-1], 0, rest)
    first = _whole(new, Match(0, 0, head))
    if first.size < WORTH:
        first = Match(0, 0, 0)
    last = _whole(new, Match(len(old) - tail, len(new) - tail, tail))
    if last.size < WORTH:
        last = Match(len(old), len(new), 0)
    if first.size:
        yield first
    if last.new - first.size >= WINDOW:
        yield from _between(old, new, first, last.new)
    if last.size:
        yield last


def _between(old: bytes, new: bytes, last: Match, end: int) -> Iterator[Match]:
    """Matches in the new text from the last one to `end`."""
    places = _places(old)
    begin = at = last.new + last.size
    while at + WINDOW <= end:
        known = places.get(new[at : at + WINDOW])
        if known is None:
            at += 1
            continue
        near = _near(known, last.old + last.size + at - begin)
        last = max((_grown(old, place, new, at, begin, end) for place in near), key=attrgetter("size"))
        yield last
        begin = at = last.new + last.size


def _places(old: bytes) -> Mapping[bytes, list[int]]:
    """Where each window stands in the old text, in order."""
    places: dict[bytes, list[int]] = {}
    for at in range(0, len(old) - WINDOW + 1, STRIDE):
        places.setdefault(old[at : at + WINDOW], []).append(at)
    return places


def _near(known: list[int], expected: int) -> list[int]:
    at = max(0, bisect(known, expected) - NEAREST // 2)
    return known[at : at + NEAREST]


def _grown(old: bytes, place: int, new: bytes, at: int, begin: int, end: int) -> Match:
    """The longest match around a window, within the new text from `begin` to `end`."""
    after = _common(old, place, new, at, min(len(old) - place, end - at))
    before = 0
    while before < min(at - begin, place) and old[place - before - 1] == new[at - before - 1]:
        before += 1
    return _whole(new, Match(place - before, at - before, before + after))


def _common(old: bytes, place: int, new: bytes, at: int, limit: int) -> int:
    """How many bytes, at most `limit`, are the same from these places on.

    Compared in ever larger pieces, then in ever smaller ones.
    """
    same, step = 0, 64
    while same + step <= limit and old[place + same : place + same + step] == new[at + same : at + same + step]:
        same += step
        step *= 2
    while step := step // 2:
        if same + step <= limit and old[place + same : place + same + step] == new[at + same : at + same + step]:
            same += step
    return same


def _whole(new: bytes, match: Match) -> Match:
    """The match without the parts of characters at its ends. A character has at most three bytes that continue it."""
    old, begin, end = match.old, match.new, match.new + match.size
    for _ in range(3):
        if begin < end and _continues(new, begin):
            old, begin = old + 1, begin + 1
        if begin < end and _continues(new, end):
            end -= 1
    return Match(old, begin, end - begin)


def _continues(text: bytes, at: int) -> bool:
    return at < len(text) and text[at] & 0xC0 == 0x80


def _number(value: int) -> bytes:
    digits = bytearray((_DIGITS[value & 63],))
    while value := value >> 6:
        digits.append(_DIGITS[value & 63])
    digits.reverse()
    return bytes(digits)


def _value(digits: bytes) -> int:
    value = 0
    for digit in digits:
        value = value << 6 | _VALUES[digit]
    return value
