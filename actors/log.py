"""The publications log: how records become numbered publications.

A channel is a key in `hub.publications`. Every hub node reads the same records and must give each publication the same
(epoch, offset), today, after a restart, and whatever its configuration. So the fold is a pure function: state and
record in, state out. It looks at the log and at the constants below, and at nothing else.

- Publications in a channel are 1, 2, 3 ... An epoch is the log's incarnation and the Kafka offset of the record that
  made the channel, so a channel that was forgotten and made again never reuses a number.
- A record with the relay's number n counts once, and only when it is the next one; a record from outside counts once
  per (channel, id) within five minutes, and one with a version only if the channel has not seen that or a later one.
- Time moves by tick records only, never backwards. Channels made before the first tick were made at the first tick.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

#: A channel last used longer ago than this is forgotten, in ms of partition time.
CHANNEL_LIFE = 30 * 24 * 3600 * 1000

#: Channels of one partition; beyond it the longest unused are forgotten.
CHANNELS = 250_000

#: How long the id of a record from outside is known, in ms of partition time.
ID_LIFE = 5 * 60 * 1000

#: Ids of one partition; beyond it the oldest are forgotten. Only a partition without ticks gets there.
IDS = 1_000_000

Kind = Literal["frame", "publication", "tick", "other"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One record of a partition of `hub.publications`."""

    #: Kafka offset.
    offset: int
    #: Kafka timestamp in ms; shown, never used.
    timestamp: int
    #: `frame` is an agent's, `publication` comes from outside, `tick` moves time, `other` is none of these; each may
    #: carry a number.
    kind: Kind
    channel: str
    #: What tells repeats of a record from outside apart: an idempotency key, or an id the hub made.
    id: str
    #: The relay's number, dense from 1 within the partition; None for a record from outside.
    n: int | None = None
    payload: bytes = b""
    #: Who may see it, as JSON; None means whoever may subscribe.
    audience: bytes | None = None
    #: Partition time in ms that a tick sets.
    time: int | None = None
    #: Of one from outside: the client that published it, and its tags, both as JSON.
    info: bytes | None = None
    tags: bytes | None = None
    #: Whether it is delivered and numbered only, and is in no history.
    transient: bool = False
    #: Of one from outside: it counts only if it is newer than what its channel has of the same `version_epoch`; 0 is
    #: no version, and always counts.
    version: int = 0
    version_epoch: str = ""
    #: Of one from outside: whether clients that asked for deltas may be sent one.
    delta: bool = False


class Position(NamedTuple):
    """A place in a channel: its epoch and the number of a publication; ("", 0) before the channel is made."""

    epoch: str
    offset: int


class Applied(NamedTuple):
    """A record has its number: it is new, or the repeat of a record that got this number before."""

    channel: str
    epoch: str
    offset: int
    new: bool


class Hole(NamedTuple):
    """A numbered record came too early: numbers from `mark` + 1 to `n` - 1 are missing. It was not counted."""

    mark: int
    n: int


@dataclass(slots=True)
class Channel:
    """What decides a channel's numbers."""

    #: Kafka offset of the record that made it.
    made: int
    #: Number of its last publication.
    offset: int
    #: Partition time of its last publication.
    used: int


class Seen(NamedTuple):
    """The number a record from outside got, and when."""

    time: int
    made: int
    offset: int


class Version(NamedTuple):
    """The last version a channel has taken."""

    number: int
    epoch: str


@dataclass(slots=True, kw_only=True)
class State:
    """All that decides the numbers of one partition."""

    #: Incarnation of the log, 8 hex digits.
    incarnation: str
    #: Kafka offset of the next record to fold.
    next: int
    #: The relay's number of the last numbered record taken.
    mark: int
    #: Partition time in ms; 0 before the first tick.
    time: int = 0
    #: Kafka offset of the youngest record that made a channel which was forgotten; -1 if none was.
    forgotten: int = -1
    #: Kafka timestamp of the record at `next` - 1, by which a snapshot knows its log again; 0 before any.
    timestamp: int = 0
    #: By name, the longest unused first.
    channels: OrderedDict[str, Channel] = field(default_factory=OrderedDict)
    #: By channel and id, the oldest first.
    ids: OrderedDict[tuple[str, str], Seen] = field(default_factory=OrderedDict)
    #: By channel, of those that were given versions.
    versions: dict[str, Version] = field(default_factory=dict)

    @classmethod
    def first(cls, incarnation: str, first_offset: int, first_n: int) -> State:
        """The state before any record of a log whose partition begins at these."""
        return cls(incarnation=incarnation, next=first_offset, mark=first_n - 1)

    def epoch(self, made: int) -> str:
        """Epoch of the channel that the record at this Kafka offset made."""
        return f"{self.incarnation}-{made}"

    def top(self, channel: str) -> Position:
        """Where a channel stands; ("", 0) while there is none: it gets its epoch when it is made."""
        known = self.channels.get(channel)
        return Position("", 0) if known is None else Position(self.epoch(known.made), known.offset)

    def told(self, channel: str) -> str:
        """The epoch a client is told: the channel's, or that it was not made before this Kafka offset."""
        return self.top(channel).epoch or f"{self._unmade}{self.next}"

    def reaches(self, channel: str, since: Position) -> bool:
        """Whether a client that was told this place saw the channel as it is now; an empty epoch stands for any.

        One that was told the channel is not made saw its first making since. That is the present one if no channel made
        later than that was ever forgotten.
        """
        top, known = self.top(channel), self.channels.get(channel)
        if since.offset > top.offset:
            return False
        if since.epoch in ("", top.epoch):
            return True
        before = since.epoch.removeprefix(self._unmade)
        if before == since.epoch or not (before.isascii() and before.isdigit() and len(before) < 20):
            return False
        return self.forgotten < int(before) <= (self.next if known is None else known.made)

    @property
    def _unmade(self) -> str:
        return f"{self.incarnation}-new-"

    def settled(self, channel: str, id: str) -> Position | None:
        """The place that a record from outside got within the last five minutes."""
        seen = self.ids.get((channel, id))
        return None if seen is None else Position(self.epoch(seen.made), seen.offset)


def apply(state: State, record: Record) -> Applied | Hole | None:
    """Fold one record. None means that it gave no number: a tick, a repeat of the relay's, a record folded before."""
    if record.offset < state.next:
        return None
    state.next = record.offset + 1
    state.timestamp = record.timestamp
    if record.n is not None:
        if record.n <= state.mark:
            return None
        if record.n > state.mark + 1:
            return Hole(state.mark, record.n)
        state.mark = record.n
    if record.kind == "tick":
        if record.time is not None and record.time > state.time:
            _tick(state, record.time)
        return None
    if record.kind == "other":
        return None
    if record.n is None:
        if (seen := state.ids.get((record.channel, record.id))) is not None:
            return Applied(record.channel, state.epoch(seen.made), seen.offset, False)
        if record.version and (outdated := _outdated(state, record)) is not None:
            return outdated
    return _publish(state, record)


def _outdated(state: State, record: Record) -> Applied | None:
    """The place of a channel's last publication, if it has this version or a later one already.

    Otherwise None, and the version is the channel's last one now.
    """
    known, channel = state.versions.get(record.channel), state.channels.get(record.channel)
    if channel is None or known is None or known.epoch != record.version_epoch or known.number < record.version:
        state.versions[record.channel] = Version(record.version, record.version_epoch)
        return None
    _remember_id(state, record, channel)
    return Applied(record.channel, state.epoch(channel.made), channel.offset, False)


def _publish(state: State, record: Record) -> Applied:
    """Give a publication the next number of its channel."""
    channel = state.channels.get(record.channel)
    if channel is None:
        channel = state.channels[record.channel] = Channel(record.offset, 1, state.time)
        if len(state.channels) > CHANNELS:
            _forget_oldest(state)
    else:
        channel.offset += 1
        channel.used = state.time
        state.channels.move_to_end(record.channel)
    if record.n is None:
        _remember_id(state, record, channel)
    return Applied(record.channel, state.epoch(channel.made), channel.offset, True)


def _remember_id(state: State, record: Record, channel: Channel) -> None:
    """Note the place that a record from outside is answered with."""
    state.ids[record.channel, record.id] = Seen(state.time, channel.made, channel.offset)
    if len(state.ids) > IDS:
        state.ids.popitem(last=False)


def _tick(state: State, time: int) -> None:
    """Move partition time and forget what has become too old. Both maps stand in the order of time."""
    if state.time == 0:
        for channel in state.channels.values():
            channel.used = time
        for key, seen in state.ids.items():
            state.ids[key] = seen._replace(time=time)
    state.time = time
    while state.channels and next(iter(state.channels.values())).used < time - CHANNEL_LIFE:
        _forget_oldest(state)
    while state.ids and next(iter(state.ids.values())).time < time - ID_LIFE:
        state.ids.popitem(last=False)


def _forget_oldest(state: State) -> None:
    """Forget the channel that was not used for longest."""
    name, channel = state.channels.popitem(last=False)
    state.versions.pop(name, None)
    state.forgotten = max(state.forgotten, channel.made)
