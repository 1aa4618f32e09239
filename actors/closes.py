"""Why a session is closed: the close codes of the protocol that the actors use.

Clients come back by themselves after 3000-3499 and stay away after 3500-3999.
"""

from __future__ import annotations

from typing import NamedTuple


class Close(NamedTuple):
    """A close code and its reason (under 124 bytes, not JSON)."""

    code: int
    reason: str


#: This node stops.
SHUTDOWN = Close(3001, "shutdown")
#: Something failed on our side.
INTERNAL = Close(3004, "internal server error")
#: The session fell behind further than history reaches, or its replies were not read.
SLOW = Close(3008, "slow")
#: The channel began anew under the session; it must subscribe again to learn where it stands.
INSUFFICIENT_STATE = Close(3010, "insufficient state")
