"""What is wrong with values somebody gave: one value, or several of a record at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: Where a message about all the values together goes.
NON_FIELD = "non_field_errors"


class Mistake(Exception):
    """The value cannot be accepted."""


class Invalid(Exception):
    """Some fields cannot be accepted: messages by field name."""

    def __init__(self, messages: Mapping[str, Sequence[str]]) -> None:
        super().__init__(messages)
        self.messages = {name: list(texts) for name, texts in messages.items()}


class NotReady(Exception):
    """A custom field can be filtered by when it has its index, and that is still being made."""

    def __init__(self, field: int, name: str) -> None:
        super().__init__(f"The index of {name} is not ready yet.")
        self.field = field
