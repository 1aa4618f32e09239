"""Deltas: publications as what differs from the one before, for subscriptions that asked for it.

A subscription's first publication is sent whole, and so is one whose predecessor the client may not have, or may have
by another text; that is always right. What is a delta is made once and kept with its publication, for every client of
any format and for every answer that brings it again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

from prometheus_client import Counter

from actors.channel import Codec, Publication
from hub.centrifuge import fossil
from hub.centrifuge.codec import Content, WireFormat, publication_content

#: Largest payloads that a delta is made between. It takes up to 0.3 ms for each KB, and the loop waits.
LARGEST = 32 * 1024

#: The part of the loop's time that deltas may take, and how many seconds of it at once.
SHARE, BURST = 0.25, 0.05

#: A delta must be shorter than this part of the whole.
WORTH = 0.9

DELTAS = Counter("hub_deltas_total", "Publications to be made into deltas, by what became of it", ["outcome"])


class Fossil:
    """Makes the deltas themselves, bytes of Fossil's format; empty where the publication is to be sent whole."""

    def __init__(self, *, share: float = SHARE, burst: float = BURST) -> None:
        self._share = share
        self._burst = burst
        #: Seconds of work that may be done now.
        self._left = burst
        self._looked = time.monotonic()

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        """The delta from the publication before."""
        if previous is None:
            return b""
        outcome, delta = self._make(previous.record.payload, publication.record.payload)
        DELTAS.labels(outcome).inc()
        return delta

    def _make(self, old: bytes, new: bytes) -> tuple[str, bytes]:
        if max(len(old), len(new)) > LARGEST:
            return "too_large", b""
        now = time.monotonic()
        self._left = min(self._burst, self._left + self._share * (now - self._looked))
        self._looked = now
        if self._left <= 0:
            return "no_time", b""
        begun = time.thread_time()
        delta = fossil.create(old, new)
        self._left -= time.thread_time() - begun
        return ("made", delta) if len(delta) < WORTH * len(new) else ("no_shorter", b"")


FOSSIL = Fossil()


class Whole:
    """The codec for clients that may not have the publication before."""

    def __init__(self, format: WireFormat) -> None:
        self._format = format
        self.sent = format.sent
        self._following = Following(format, self)

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        """The frame of a publication."""
        return _frame(self._format, publication, None)

    def after(self, sent: bool) -> Codec:
        """Deltas follow what was sent."""
        return self._following if sent else self

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        """As without deltas."""
        return self._format.position(channel, epoch, offset)


class Following:
    """The codec for clients that have the publication before."""

    def __init__(self, format: WireFormat, whole: Whole) -> None:
        self._format = format
        self.sent = format.sent
        self._whole = whole

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        """The frame of a publication."""
        return _frame(self._format, publication, previous)

    def after(self, sent: bool) -> Codec:
        """Nothing follows what was not sent."""
        return self if sent else self._whole

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        """As without deltas."""
        return self._format.position(channel, epoch, offset)


@cache
def codec(format: WireFormat) -> Codec:
    """What a subscription with deltas begins with, the same for all of a format."""
    return Whole(format)


def contents(format: WireFormat, publications: Sequence[Publication]) -> list[Content]:
    """Publications as a reply to a subscription with deltas carries them: the first whole."""
    found: list[Content] = []
    previous = None
    for publication in publications:
        data, delta = _told(format, publication, previous)
        found.append({**publication_content(publication), "data": data, "delta": delta})
        previous = publication
    return found


def _frame(format: WireFormat, publication: Publication, previous: Publication | None) -> bytes:
    data, delta = _told(format, publication, previous)
    return format.publication_frame(publication, data, delta=delta)


def _told(format: WireFormat, publication: Publication, previous: Publication | None) -> tuple[bytes, bool]:
    """`data` of a publication for a client that has the previous one, if there is one, and whether it is a delta."""
    payload = publication.record.payload
    if previous is not None and _may_follow(publication, previous):
        delta = publication.frame(FOSSIL, previous)
        if delta and (format.binary or (_is_text(payload) and _is_text(previous.record.payload))):
            return format.delta_data(delta), True
    return format.delta_data(payload), False


def _may_follow(publication: Publication, previous: Publication) -> bool:
    """Whether a publication may be told as a delta: agents' always, from outside only what is marked."""
    record = publication.record
    return previous.offset + 1 == publication.offset and (record.delta or record.kind == "frame")


def _is_text(payload: bytes) -> bool:
    """Whether a JSON string holds the very bytes."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
