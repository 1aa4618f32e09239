"""Times to begin reading at, as commands give them."""

from __future__ import annotations

from datetime import datetime

#: The last moment of the year 9999, in Unix milliseconds.
LATEST = 253_402_300_799_999

#: In place of an epoch: the offset beside it is a time, in Unix milliseconds. Clients can send nothing else.
BY_TIME = "time"


def moment(value: object) -> int:
    """Unix milliseconds of a time: they themselves, or a text as ISO 8601 has it, with its offset from UTC.

    Raises ValueError.
    """
    if type(value) is int and 0 <= value <= LATEST:
        return value
    if isinstance(value, str):
        time = datetime.fromisoformat(value)
        if time.tzinfo is not None:
            try:
                return max(0, int(time.timestamp() * 1000))
            except OverflowError:
                pass
    raise ValueError("no time")
