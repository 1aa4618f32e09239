"""Patterns that users write. They run on RE2, whose time grows with the text alone, whatever the pattern says."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from models.resources.mistakes import Mistake

#: Bytes that a compiled pattern may take; a larger one is refused.
LARGEST = 256 * 1024


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The pattern, ready for `fullmatch`. Raises Mistake for what RE2 cannot run."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = LARGEST
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise Mistake(f"Not a pattern that RE2 can run: {reason}.") from None


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches. Raises Mistake for a pattern that RE2 cannot run."""
    return compiled(pattern).fullmatch(text) is not None
