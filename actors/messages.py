"""What a partition is told and asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.channel import Publication
from actors.delivery import Cursor
from actors.kernel import Message
from actors.log import Hole, Position, Record


@dataclass(frozen=True, kw_only=True, slots=True)
class Apply(Message["Folded"]):
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
class Subscribe(Message["Subscribed | Gap"]):
    """Let a cursor listen. Answered with Subscribed, after `greet`'s frame was written; or with a Gap, when `since`
    lies before what is remembered: then nothing is written and nobody listens yet.
    """

    cursor: Cursor
    #: Where the client left; None to begin at the top. An empty epoch stands for any.
    since: Position | None = None
    #: Makes the reply that must stand before the channel's first frame.
    greet: Callable[[Subscribed], bytes]
    #: `since` may lie before what is remembered: the log was seen to reach back to it.
    scanned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Recover(Message["Subscribed | Gap"]):
    """Let a cursor listen from the top, and give what the client missed with the answer, all of it or nothing.

    Answered like Subscribe; the Gap says from where on the log must be read first. What was read comes with the next
    try: `found`, the publications after `since` up to number `at` that the session may see.
    """

    cursor: Cursor
    #: Where the client left; an empty epoch stands for any.
    since: Position
    at: int
    found: Sequence[Publication]
    #: Most publications that are given; if the session may see more, it has not recovered.
    limit: int
    #: Only the latest publication counts: it is all that is given, if the client does not have it.
    latest: bool = False
    greet: Callable[[Subscribed], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribed:
    """Where a subscription begins: what follows is everything after `offset` that the session may see."""

    epoch: str
    offset: int
    #: Whether it goes on from where the client left.
    recovered: bool
    #: What comes first, if the answer itself carries what was missed.
    publications: Sequence[Publication] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Publications after `since` that are not remembered here; they are in the Kafka partition, before `before`."""

    channel: str
    epoch: str
    #: Number of the last publication the reader has.
    since: int
    #: Kafka offset where memory begins; what is wanted lies below it.
    before: int
    #: If it is not None, the first publication at or behind this Kafka offset is wanted, if there is one.
    start: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume(Message["Gap | None"]):
    """Bring a cursor a page nearer to the top, or live. Answered with None, or with a Gap."""

    cursor: Cursor


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsubscribe(Message[None]):
    """Forget a cursor."""

    cursor: Cursor


@dataclass(frozen=True, kw_only=True, slots=True)
class Read(Message["Page"]):
    """Read a channel's publications after `since` (None: its history from the beginning). Answered with a Page."""

    channel: str
    since: Position | None
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Locate(Message["Position | Gap"]):
    """Find the place before a channel's first publication at or behind a Kafka offset, or its top if there is none.

    Answered with the Position; or with a Gap that says where in the log to look for it first. What is not there is
    found with the next try: `scanned`.
    """

    channel: str
    start: int
    scanned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What Read found; `gap` says that publications between `since` and the first of them are not remembered."""

    #: Where the channel stands, its epoch as clients are told it.
    top: Position
    #: Whether `since` is a place of the channel as it is; if not, nothing was read.
    reached: bool = True
    publications: Sequence[Publication] = ()
    gap: Gap | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled(Message[Position]):
    """Wait until a record from outside is folded. Answered with its Position; a repeat with that of the first."""

    channel: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeSnapshot(Message["Snapshot"]):
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
