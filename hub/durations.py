"""Durations as Go writes them: "25s", "1m30s", "720h", "1.5s"."""

from __future__ import annotations

import re

#: Seconds in a unit.
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}

_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(h|ms|m|s|us|µs|μs|ns)", re.ASCII)

#: What Go can hold, about 292 years.
LONGEST = 9.2e9


def parse(text: str) -> float:
    """Seconds in a duration. Raises ValueError."""
    if text == "0":
        return 0.0
    seconds, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            raise ValueError("not a duration")
        seconds += float(part[1]) * UNITS[part[2]]
        at = part.end()
    if not text or seconds > LONGEST:
        raise ValueError("not a duration")
    return seconds


def show(seconds: float) -> str:
    """A duration in the largest unit that makes it a whole number."""
    for unit in ("h", "m", "s", "ms", "us"):
        count = seconds / UNITS[unit]
        if count and count == int(count):
            return f"{int(count)}{unit}"
    return f"{seconds:g}s"
