"""A partition: the actor that folds one partition of the publications log and owns its channels.

Everything about its channels happens here, one message at a time: numbers, memory, who listens. So a greeting is
always followed by exactly what came after it, and a cursor that has caught up misses nothing while it goes live.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.channel import Publication
from actors.delivery import Cursor
from actors.log import Hole, Position, Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Apply:
    """Fold records, in the order of the log. Answered with Folded when they are delivered."""

    records: Sequence[Record]


@dataclass(frozen=True, kw_only=True, slots=True)
class Folded:
    """How far the fold is."""

    #: Kafka offset of the next record.
    next: int
    #: The relay's number of the last numbered record.
    mark: int
    #: Relay's numbers are missing; said once for each mark.
    hole: Hole | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribe:
    """Let a cursor listen. Answered with Subscribed, after `greet`'s frame was written; or with a Gap, when `since`
    lies before what is remembered: then nothing is written and nobody listens yet.
    """

    cursor: Cursor
    #: Where the client left; None to begin at the top. An empty epoch stands for any.
    since: Position | None = None
    #: Makes the reply that must stand before the channel's first frame.
    greet: Callable[[Subscribed], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribed:
    """Where a subscription begins: what follows is everything after `offset` that the session may see."""

    epoch: str
    offset: int
    #: Whether it goes on from where the client left.
    recovered: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Publications after `since` that are not remembered here; they are in the Kafka partition, before `before`."""

    channel: str
    epoch: str
    #: Number of the last publication the reader has.
    since: int
    #: Kafka offset where memory begins; what is wanted lies below it.
    before: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """Bring a cursor a page nearer to the top, or live. Answered with None, or with a Gap."""

    cursor: Cursor


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsubscribe:
    """Forget a cursor."""

    cursor: Cursor


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """Read a channel's publications after `since` (None: from the oldest remembered). Answered with a Page."""

    channel: str
    since: int | None
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What Read found; `gap` says that publications between `since` and the first of them are not remembered."""

    #: Where the channel stands.
    top: Position
    publications: Sequence[Publication]
    gap: Gap | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """Wait until a record from outside is folded. Answered with its Position; a repeat with that of the first."""

    channel: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeSnapshot:
    """Answered with a Snapshot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What another node, or this one tomorrow, goes on from."""

    #: Kafka offset of the next record to fold.
    next: int
    #: Kafka timestamp in ms of the record before it, 0 if there was none.
    timestamp: int
    #: For Partition(state=...), by way of `actors.snapshot.decode`.
    state: bytes
