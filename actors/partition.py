"""A partition: the actor that folds one partition of the publications log and owns its channels.

Everything about its channels happens here, one message at a time: numbers, memory, who listens. So a greeting is
always followed by exactly what came after it, and a cursor that has caught up misses nothing while it goes live.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from actors import snapshot
from actors.channel import Memory, Publication, Retention
from actors.delivery import WITHHELD, Cursor, Listeners
from actors.kernel import Actor, Message
from actors.log import Applied, Hole, Position, Record, State, apply
from actors.messages import (
    Apply,
    Folded,
    Gap,
    Locate,
    Page,
    Read,
    Recover,
    Resume,
    Settled,
    Snapshot,
    Subscribe,
    Subscribed,
    TakeSnapshot,
    Unsubscribe,
)  # fmt: skip
from actors.traffic import Spread, Standing

if TYPE_CHECKING:
    from actors.session import Session

log = structlog.get_logger()

#: Publications a cursor gets at a time while it catches up.
PAGE = 256

#: A batch is delivered when its payloads come to this many bytes, so that no transport is given more at a time.
BATCH_BYTES = 256 * 1024

#: Upper ends, in seconds, of the ranges by which lags are counted.
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Partition(Actor):
    """One partition of `hub.publications` on this node.

    Without a supervisor its failure is the process's: a fold that went wrong must not go on.
    """

    def __init__(
        self,
        number: int,
        state: State,
        *,
        retention: Callable[[str], Retention],
        budget: int,
        remembered: Mapping[int, tuple[str, int]] | None = None,
        mailbox: int = 10_000,
    ) -> None:
        """`budget` is bytes of remembered publications. `state` and `remembered` come from a snapshot, if there is one:
        then reading begins at `read_from`, and what is read below `state.next` fills the memory again.
        """
        super().__init__(f"partition {number}", mailbox=mailbox)
        self._state = state
        self._memory = Memory(retention, budget)
        #: Channel and number of what is to be remembered again, by Kafka offset.
        self._remembered = dict(remembered or {})
        self._listeners: dict[str, Listeners] = {}
        self._settling: dict[tuple[str, str], list[asyncio.Future[Position]]] = {}
        #: The mark at which a hole was last told.
        self._told = -1
        #: Batches handed to sessions since the start.
        self.deliveries = 0
        #: Where the cursors on its channels stand.
        self.standing = Standing()
        #: Seconds from a record's Kafka timestamp until its frames were written, for each one that somebody got live.
        self.lag = Spread(LAGS)
        self._handlers: dict[type[Message[Any]], Callable[[Any], Any]] = {
            Apply: self._apply,
            Subscribe: self._subscribe,
            Recover: self._recover,
            Resume: self._resume,
            Unsubscribe: self._unsubscribe,
            Read: self._read,
            Locate: self._locate,
            Settled: self._settled,
            TakeSnapshot: self._snapshot,
        }

    @property
    def read_from(self) -> int:
        """Kafka offset of the first record to apply."""
        return min(self._remembered, default=self._state.next)

    @property
    def listeners(self) -> int:
        """Cursors on its channels."""
        return self.standing.live + self.standing.behind

    @property
    def channels(self) -> int:
        """Channels that somebody listens to."""
        return len(self._listeners)

    async def receive(self, message: Message[Any]) -> Any:
        return self._handlers[type(message)](message)

    # The fold.

    def _apply(self, message: Apply) -> Folded:
        hole: Hole | None = None
        batch: dict[str, list[Publication]] = {}
        size = 0
        for record in message.records:
            if record.offset < self._state.next:
                self._remember_again(record)
                continue
            applied = apply(self._state, record)
            if isinstance(applied, Applied):
                if self._settling and record.n is None:
                    self._settle(record, applied)
                if applied.new:
                    size += len(record.payload)
                    self._publish(record, applied, batch)
            elif applied is not None:
                hole = hole or self._tell(applied)
            elif record.kind == "tick":
                self._memory.tick(self._state.time)
            if size >= BATCH_BYTES:
                self._deliver(batch)
                batch, size = {}, 0
        self._deliver(batch)
        return Folded(next=self._state.next, mark=self._state.mark, hole=hole)

    def _publish(self, record: Record, applied: Applied, batch: dict[str, list[Publication]]) -> None:
        channel = applied.channel
        publication = Publication(record, applied.offset)
        listeners = self._listeners.get(channel)
        if applied.offset == 1:
            self._memory.forget(channel)
            if listeners is not None:
                if channel in batch:
                    self._deliver({channel: batch.pop(channel)})
                listeners.renew(applied.epoch)
        self._memory.remember(publication)
        if listeners is not None:
            batch.setdefault(channel, []).append(publication)

    def _deliver(self, batch: Mapping[str, Sequence[Publication]]) -> None:
        """One write per session: straight away if only one channel has something, else gathered first."""
        due: list[Session] | None = [] if len(batch) > 1 else None
        delivered: list[Publication] = []
        for channel, publications in batch.items():
            previous = self._memory.get(channel, publications[0].offset - 1)
            reached = self._listeners[channel].deliver(publications, previous, due)
            self.deliveries += reached
            if reached:
                delivered += publications
        for session in due or ():
            session.flush()
        now = time.time()
        for publication in delivered:
            # The clocks of two machines: what came before it was sent came at once.
            self.lag.add(max(0.0, now - publication.record.timestamp / 1000))

    def _remember_again(self, record: Record) -> None:
        known = self._remembered.pop(record.offset, None)
        if known is not None:
            self._memory.remember(Publication(record, known[1]))

    def _tell(self, hole: Hole) -> Hole | None:
        """A hole, if it was not told before."""
        if self._told == hole.mark:
            return None
        self._told = hole.mark
        log.error("hole_in_the_log", partition=self.name, mark=hole.mark, n=hole.n)
        return hole

    # Listening.

    def _subscribe(self, message: Subscribe) -> Subscribed | Gap:
        cursor, since = message.cursor, message.since
        top = self._state.top(cursor.channel)
        recovered = since is not None and self._state.reaches(cursor.channel, since)
        offset = since.offset if since is not None and recovered else top.offset
        if offset < top.offset and not message.scanned and self._memory.read(cursor.channel, offset, 1) is None:
            return self._gap(cursor.channel, top, offset)
        subscribed = Subscribed(epoch=self._state.told(cursor.channel), offset=offset, recovered=recovered)
        self._listen(cursor, offset, subscribed, message.greet)
        return subscribed

    def _recover(self, message: Recover) -> Subscribed | Gap:
        cursor, since = message.cursor, message.since
        top, epoch = self._state.top(cursor.channel), self._state.told(cursor.channel)
        subscribed = Subscribed(epoch=epoch, offset=top.offset, recovered=False)
        if message.latest:
            known = self._state.reaches(cursor.channel, since) and since.offset == top.offset
            newest = self._memory.read(cursor.channel, top.offset - 1, 1) or []
            found = [] if known else cursor.visible(newest)
            recovered = known or bool(newest)
            subscribed = Subscribed(epoch=epoch, offset=top.offset, recovered=recovered, publications=found)
        elif self._state.reaches(cursor.channel, since):
            found, at = list(message.found), message.at
            while at < top.offset and len(found) <= message.limit:
                page = self._memory.read(cursor.channel, at, PAGE)
                if page is None:
                    return self._gap(cursor.channel, top, at)
                found += cursor.visible(page)
                at = page[-1].offset
            if len(found) <= message.limit:
                offset = since.offset if found else top.offset
                subscribed = Subscribed(epoch=epoch, offset=offset, recovered=True, publications=found)
        self._listen(cursor, top.offset, subscribed, message.greet)
        return subscribed

    def _listen(
        self, cursor: Cursor, offset: int, subscribed: Subscribed, greet: Callable[[Subscribed], bytes]
    ) -> None:
        """Greet, and let a cursor follow from this number."""
        top = self._state.top(cursor.channel)
        cursor.epoch, cursor.offset = top.epoch, offset
        given = subscribed.publications
        cursor.codec = cursor.codec.after(bool(given) and given[-1].offset == offset)
        cursor.session.send(greet(subscribed))
        listeners = self._listeners.setdefault(cursor.channel, Listeners(self.standing))
        if offset == top.offset:
            listeners.follow(cursor)
        else:
            cursor.resuming = True
            listeners.wait(cursor)

    def _resume(self, message: Resume) -> Gap | None:
        cursor = message.cursor
        listeners = self._listeners.get(cursor.channel)
        if listeners is None or cursor.live or cursor not in listeners:
            return None
        top = self._state.top(cursor.channel)
        if cursor.epoch != top.epoch:
            listeners.remove(cursor)
            cursor.session.lost(cursor)
            return None
        if cursor.offset < top.offset:
            page = self._memory.read(cursor.channel, cursor.offset, PAGE)
            if page is None:
                return self._gap(cursor.channel, top, cursor.offset)
            cursor.offer(page, self._memory.get(cursor.channel, cursor.offset))
        cursor.notice(WITHHELD, cursor.offset)
        if cursor.offset == top.offset:
            cursor.notice(1, cursor.offset)
            listeners.follow(cursor)
        return None

    def _unsubscribe(self, message: Unsubscribe) -> None:
        cursor = message.cursor
        listeners = self._listeners.get(cursor.channel)
        if listeners is not None:
            listeners.remove(cursor)
            if not listeners:
                del self._listeners[cursor.channel]

    # Reading.

    def _read(self, message: Read) -> Page:
        channel, since = message.channel, message.since
        top = self._state.top(channel)
        told = Position(self._state.told(channel), top.offset)
        if since is None:
            first = self._memory.first(channel) if top.epoch else None
            after = top.offset if first is None else first.offset - 1
        elif self._state.reaches(channel, since):
            after = since.offset
        else:
            return Page(top=told, reached=False)
        if after >= top.offset:
            return Page(top=told)
        page = self._memory.read(channel, after, message.limit)
        if page is None:
            return Page(top=told, gap=self._gap(channel, top, after))
        return Page(top=told, publications=page)

    def _locate(self, message: Locate) -> Position | Gap:
        channel, start = message.channel, message.start
        top = self._state.top(channel)
        gap = self._gap(channel, top, 0)
        oldest = self._memory.oldest(channel)
        complete = top.offset == 0 or (oldest is not None and oldest.offset == 1)
        if not complete and not message.scanned and start < gap.before:
            return replace(gap, start=start)
        number = self._memory.number_at(channel, start)
        return Position(self._state.told(channel), top.offset if number is None else number - 1)

    def _gap(self, channel: str, top: Position, since: int) -> Gap:
        oldest = self._memory.oldest(channel)
        before = self._state.next if oldest is None else oldest.record.offset
        return Gap(channel=channel, epoch=top.epoch, since=since, before=before)

    def _settled(self, message: Settled) -> Position | asyncio.Future[Position]:
        known = self._state.settled(message.channel, message.id)
        if known is not None:
            return known
        key = (message.channel, message.id)
        waiting = self._settling.setdefault(key, [])
        answer: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        waiting.append(answer)
        answer.add_done_callback(lambda _: self._settled_or_gone(key, answer))
        return answer

    def _settle(self, record: Record, applied: Applied) -> None:
        for answer in self._settling.get((record.channel, record.id), ()):
            if not answer.done():
                answer.set_result(Position(applied.epoch, applied.offset))

    def _settled_or_gone(self, key: tuple[str, str], answer: asyncio.Future[Position]) -> None:
        waiting = self._settling[key]
        waiting.remove(answer)
        if not waiting:
            del self._settling[key]

    def _snapshot(self, message: TakeSnapshot) -> Snapshot:
        state = self._state
        return Snapshot(next=state.next, timestamp=state.timestamp, state=snapshot.encode(state, self._memory))
