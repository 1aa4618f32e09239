"""How many examples a property test tries: so many in every run, ten times as many in the soak."""

from __future__ import annotations

from hypothesis import settings

#: What hypothesis tries when nothing is said; the profile of the soak says a multiple of it.
USUAL = 100


def examples(count: int) -> int:
    """The number for the run at hand."""
    profile = settings.default
    assert profile is not None
    return count * profile.max_examples // USUAL
