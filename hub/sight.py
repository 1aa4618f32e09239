"""What a session may see: publications by their audience."""

from __future__ import annotations

from functools import lru_cache, partial

import structlog

from actors.delivery import Admits
from models.access import Audience, Viewer

log = structlog.get_logger()


def nobody(audience: bytes) -> bool:
    """For who is no user of the CRM: sees what has no audience."""
    return False


@lru_cache(maxsize=100_000)
def admits(viewer: Viewer) -> Admits:
    """Whether an audience lets this viewer see a publication; one function for all sessions of a viewer."""
    return partial(_admits, viewer)


def _admits(viewer: Viewer, audience: bytes) -> bool:
    try:
        return Audience.parse(audience).admits(viewer)
    except ValueError as error:
        log.error("audience_not_read", error=str(error))
        return False
