"""Delivery: who listens to a channel, and the one loop that hands ready frames to them.

A live cursor stands at the channel's top and gets every batch as it comes: one call, one write of bytes that all
sessions of its codec share. A session whose socket is full falls behind: its cursor remembers an offset, nothing is
queued for it, and nobody waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.session import Session


class Cursor:
    """One session's place in one channel."""

    __slots__ = ("channel", "epoch", "live", "offset", "resuming", "session", "skipped")

    def __init__(self, session: Session, channel: str) -> None:
        self.session = session
        self.channel = channel
        self.epoch = ""
        #: The last publication it is past; only kept while it is not live.
        self.offset = 0
        #: Whether it gets each batch as it comes.
        self.live = False
        #: Whether it is on the way from where its client left; then it may read the log beyond what is remembered.
        self.resuming = False
        #: Publications it was not allowed to see since it was last told where it stands.
        self.skipped = 0
