"""Presence on this node: who is in a channel, on any node.

Its own clients are present as soon as `enter` returns, whatever Kafka does. Other nodes are told of them in batches;
after a storm, or after Kafka was away for long, they are told all that are present instead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import accumulate, islice

import structlog
from aiohttp import web

from actors.presence import Change, ClientInfo, Said
from actors.roster import Roster
from hub import control_records as records
from hub.voice import Voice

log = structlog.get_logger()

#: Seconds in which joins and leaves are gathered for one record.
GATHER = 0.005

#: Clients in one record, and about the most bytes.
RECORD, RECORD_BYTES = 500, 256 * 1024

#: Joins and leaves that may wait to be told; beyond that all that are present are said instead.
WAITING = 50_000

#: Seconds in which requests to say all that are present are gathered.
SAY_ALL = 0.05

#: Seconds until it is tried again after Kafka did not take it.
RETRY = 1.0

Told = Callable[[str, ClientInfo], None]


class Presence:
    """Who is present. Only the node's control, and the clients of this node by `enter` and `leave`, change it."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._watchers: list[tuple[Told, Told]] = []
        self._waiting: list[Change] = []
        self._all = False
        self._due = asyncio.Event()

    def enter(self, channel: str, info: ClientInfo) -> None:
        """A client of this node is in a channel from now on. Watchers are told before this returns."""
        before = not self._roster.enter(channel, info)
        self._note(Change(True, channel, info))
        if not before:
            self._tell([Change(True, channel, info)])

    def leave(self, channel: str, client: str) -> None:
        """A client of this node is not in a channel any more. Watchers are told before this returns."""
        info = self._roster.leave(channel, client)
        if info is not None:
            self._note(Change(False, channel, info))
            self._tell([Change(False, channel, info)])

    def of(self, channel: str) -> dict[str, ClientInfo]:
        """Who is in a channel on any node, by client id."""
        return self._roster.of(channel)

    def stats(self, channel: str) -> tuple[int, int]:
        """Clients and distinct users in a channel."""
        return self._roster.stats(channel)

    def watch(self, joined: Told, left: Told) -> None:
        """Be told, with the channel, of everybody who joins and leaves on any node: once each, in order per client."""
        self._watchers.append((joined, left))

    # For the node's control.

    def hear(self, said: Said, now: float) -> None:
        """Take in what a node said."""
        self._tell(self._roster.hear(said, now))

    def expire(self, now: float) -> None:
        """Give up nodes that are silent."""
        self._tell(self._roster.expire(now))

    def say_all(self) -> None:
        """Somebody wants to know all that are present here; whoever else does within a moment is answered with it."""
        asyncio.get_running_loop().call_later(SAY_ALL, self._all_due)

    async def run(self, voice: Voice) -> None:
        """Tell other nodes, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            await asyncio.sleep(GATHER)
            all, self._all = self._all, False
            if not await (self._say_all(voice) if all else self._say_waiting(voice)):
                await asyncio.sleep(RETRY)
                self._all_due()

    def _all_due(self) -> None:
        self._all = True
        self._due.set()

    def _note(self, change: Change) -> None:
        self._waiting.append(change)
        if len(self._waiting) > WAITING:
            log.warning("presence_storm", waiting=len(self._waiting))
            self._waiting.clear()
            self._all = True
        self._due.set()

    def _tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for joined, left in self._watchers:
                try:
                    (joined if change.joined else left)(change.channel, change.info)
                except Exception:  # what one watcher makes of it is nobody else's affair
                    log.exception("presence_watcher_failed", channel=change.channel)

    async def _say_waiting(self, voice: Voice) -> bool:
        """Tell who came and went; whether it was acknowledged."""
        while self._waiting:
            weights = accumulate(_weight(change.channel, change.info) for change in islice(self._waiting, RECORD))
            count = sum(weight < RECORD_BYTES for weight in weights) or 1
            changes = self._waiting[:count]
            del self._waiting[:count]
            if not await voice.say(records.MOVED, records.moved(changes)):
                return False
        return True

    async def _say_all(self, voice: Voice) -> bool:
        """Tell all that are present, in parts, and between them who comes and goes; whether it was acknowledged."""
        places, first = deque(self._roster.own()), True
        while places or first:
            part: list[tuple[str, ClientInfo]] = []
            weight = 0
            while places and len(part) < RECORD and weight < RECORD_BYTES:
                channel, client = places.popleft()
                if (info := self._roster.own_info((channel, client))) is not None:
                    part.append((channel, info))
                    weight += _weight(channel, info)
            if not await voice.say(records.PRESENT, records.present(part, first=first, last=not places)):
                return False
            first = False
            if not await self._say_waiting(voice):
                return False
        return True


def _weight(channel: str, info: ClientInfo) -> int:
    """About the bytes of a client in a record."""
    infos = len(info.conn_info or b"") + len(info.chan_info or b"")
    return len(channel) + len(info.user) + len(info.client) + 2 * infos + 32


PRESENCE = web.AppKey("presence", Presence)
