"""Delivery: who listens to a channel, and the one loop that hands ready frames to them.

A live cursor stands at the channel's top and gets every batch as it comes: one call, one write of bytes that all
cursors with the same codec and the same sight share. A session whose socket is full falls behind: its cursor remembers
an offset, nothing is queued for it, and nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from actors.channel import Codec, Publication
from actors.traffic import Standing

if TYPE_CHECKING:
    from actors.session import Session

#: Publications withheld from a session before it is told where it stands.
WITHHELD = 100

#: Whether an audience (JSON) lets a session see a publication.
Admits = Callable[[bytes], bool]


class Cursor:
    """One session's place in one channel."""

    __slots__ = ("channel", "codec", "epoch", "live", "offset", "resuming", "session", "withheld")

    def __init__(self, session: Session, channel: str, codec: Codec) -> None:
        self.session = session
        self.channel = channel
        #: Of what follows its place; it tells whether the session was sent the publication before.
        self.codec = codec
        self.epoch = ""
        #: The last publication it is past; only kept up while it is not live.
        self.offset = 0
        #: Whether it gets each batch as it comes.
        self.live = False
        #: Whether it is on the way from where its client left; then it may read the log beyond what is remembered.
        self.resuming = False
        #: Publications it was not allowed to see since it was last sent anything.
        self.withheld = 0

    def offer(self, batch: Sequence[Publication], previous: Publication | None = None) -> bool:
        """Hand over the publications after its offset, as far as the session may see them, and move past them.

        `previous` is the publication before the batch, if it is at hand. False, and nothing is changed, if the session
        takes no more now.
        """
        session = self.session
        sight = _sight(session.admits, batch)
        frames, after = _join(self.codec, batch, previous, sight)
        if frames:
            if not session.deliver(frames):
                return False
            self.codec.sent.add(sum(sight), len(frames))
        self.codec = after
        trailing = _trailing(sight)
        self.withheld = trailing if any(sight) else self.withheld + trailing
        self.offset = batch[-1].offset
        return True

    def visible(self, batch: Sequence[Publication]) -> list[Publication]:
        """Those of a batch that the session may see afterwards, in recovery and history."""
        sight = _sight(self.session.admits, batch)
        return [one for one, seen in zip(batch, sight, strict=True) if seen and not one.record.transient]

    def notice(self, at_least: int, offset: int, due: list[Session] | None = None) -> None:
        """Tell the session where it stands, if at least so many publications were withheld from it."""
        if self.withheld < at_least:
            return
        frame = self.codec.position(self.channel, self.epoch, offset)
        if not frame or self.session.deliver(frame, due):
            self.withheld = 0
            self.codec.sent.add(bool(frame), len(frame))


class Listeners:
    """The cursors on one channel."""

    def __init__(self, standing: Standing) -> None:
        """`standing` counts them, together with those on other channels."""
        self._standing = standing
        #: They stand at the top.
        self._live: dict[Codec, dict[Cursor, None]] = {}
        #: They have an offset of their own.
        self._behind: dict[Cursor, None] = {}

    def __len__(self) -> int:
        return len(self._behind) + sum(map(len, self._live.values()))

    def __iter__(self) -> Iterator[Cursor]:
        yield from self._behind
        for cursors in self._live.values():
            yield from cursors

    def __contains__(self, cursor: Cursor) -> bool:
        return cursor.live or cursor in self._behind

    def follow(self, cursor: Cursor) -> None:
        """Let a cursor that stands at the top get each batch as it comes."""
        self.remove(cursor)
        self._live.setdefault(cursor.codec, {})[cursor] = None
        cursor.live = True
        cursor.resuming = False
        self._standing.live += 1

    def wait(self, cursor: Cursor) -> None:
        """Let a cursor stand at its offset until its session brings it on."""
        self.remove(cursor)
        self._behind[cursor] = None
        cursor.session.behind[cursor] = None
        self._standing.behind += 1

    def remove(self, cursor: Cursor) -> None:
        """Forget a cursor."""
        if cursor.live:
            del self._live[cursor.codec][cursor]
            if not self._live[cursor.codec]:
                del self._live[cursor.codec]
            cursor.live = False
            self._standing.live -= 1
        elif cursor in self._behind:
            del self._behind[cursor]
            self._standing.behind -= 1
        cursor.session.behind.pop(cursor, None)

    def renew(self, epoch: str) -> None:
        """The channel was made: who waited for it learns its epoch; who listened to an earlier one has lost it."""
        for cursor in list(self):
            session = cursor.session
            if cursor.epoch:
                self.remove(cursor)
                session.lost(cursor)
            else:
                cursor.epoch = epoch
                session.send(cursor.codec.position(cursor.channel, epoch, 0))

    def deliver(self, batch: Sequence[Publication], previous: Publication | None, due: list[Session] | None) -> int:
        """Hand a batch to every live cursor; who takes no more falls behind, to before the batch.

        `previous` is the publication before the batch, if it is at hand. With `due`, sessions gather it and those that
        must be flushed are added there. Returns how many sessions stood at the top.
        """
        restricted = any(publication.record.audience is not None for publication in batch)
        reached = 0
        changed: dict[Cursor, Codec] = {}
        for codec, cursors in list(self._live.items()):
            reached += len(cursors)
            if restricted:
                full = _deliver_restricted(codec, cursors, batch, previous, due, changed)
            else:
                frames, after = _join(codec, batch, previous, ())
                full = [cursor for cursor in cursors if not cursor.session.deliver(frames, due)]
                taken = len(cursors) - len(full)
                codec.sent.add(taken * len(batch), taken * len(frames))
                if after is not codec:
                    changed.update(dict.fromkeys(cursors, after))
            for cursor in full:
                self._standing.fell += not cursor.session.closed
                cursor.offset = batch[0].offset - 1
                self.wait(cursor)
        for cursor, codec in changed.items():
            if cursor.live:
                self.remove(cursor)
                cursor.codec = codec
                self.follow(cursor)
        return reached


def _deliver_restricted(
    codec: Codec,
    cursors: Iterable[Cursor],
    batch: Sequence[Publication],
    previous: Publication | None,
    due: list[Session] | None,
    changed: dict[Cursor, Codec],
) -> list[Cursor]:
    """Hand each cursor what its session may see; returns those that take no more. `changed` is given new codecs.

    Who may see what is judged once per viewer, and joined once for all who may see the same.
    """
    full: list[Cursor] = []
    viewers: dict[Admits, tuple[bytes, Codec, int, int]] = {}
    shared: dict[tuple[bool, ...], tuple[bytes, Codec, int, int]] = {}
    messages = size = 0
    for cursor in cursors:
        session = cursor.session
        known = viewers.get(session.admits)
        if known is None:
            sight = _sight(session.admits, batch)
            if sight not in shared:
                shared[sight] = *_join(codec, batch, previous, sight), sum(sight), _trailing(sight)
            known = viewers[session.admits] = shared[sight]
        frames, after, seen, trailing = known
        if not frames:
            cursor.withheld += trailing
        elif session.deliver(frames, due):
            cursor.withheld = trailing
            messages += seen
            size += len(frames)
        else:
            full.append(cursor)
            continue
        if after is not codec:
            changed[cursor] = after
        if cursor.withheld >= WITHHELD:
            cursor.notice(WITHHELD, batch[-1].offset, due)
    codec.sent.add(messages, size)
    return full


def _sight(admits: Admits, batch: Sequence[Publication]) -> tuple[bool, ...]:
    """Which publications of a batch may be seen."""
    return tuple([p.record.audience is None or admits(p.record.audience) for p in batch])


def _join(
    codec: Codec, batch: Sequence[Publication], previous: Publication | None, sight: tuple[bool, ...]
) -> tuple[bytes, Codec]:
    """The frames of a batch as one piece, and the codec of what follows; an empty sight sees all.

    A single frame is not copied.
    """
    frames: list[bytes] = []
    for publication, seen in zip(batch, sight or (True,) * len(batch), strict=True):
        if seen:
            frames.append(publication.frame(codec, previous))
        codec, previous = codec.after(seen), publication
    return b"".join(frames), codec


def _trailing(sight: Sequence[bool]) -> int:
    """How many publications were withheld after the last that may be seen."""
    return next((at for at, seen in enumerate(reversed(sight)) if seen), len(sight))
