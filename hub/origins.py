"""Which web pages may connect, by the Origin header that browsers send and nothing else has to."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable


class Origins:
    """The origins that are allowed: `https://app.example.com`, `https://*.example.com`, or `*` for all.

    A pattern is matched as a whole and without regard to case; `*` stands for any text, `?` for one character.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [re.compile(fnmatch.translate(pattern.lower())) for pattern in patterns]

    def allows(self, origin: str | None) -> bool:
        """Whether a request with this Origin header may connect. One without it comes from no browser, and may."""
        return not origin or any(pattern.match(origin.lower()) for pattern in self._patterns)


def check(pattern: str) -> None:
    """Raise ValueError for what cannot be meant as an origin."""
    if pattern != "*" and not re.fullmatch(r"[^\s{}/]+://[^\s{}/]+", pattern):
        raise ValueError('an origin such as "https://app.example.com", without a path; * stands for any text')
