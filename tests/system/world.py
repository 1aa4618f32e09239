"""Two hubs that are killed and started, clients that come and go, and the few lines that say what must be true.

The model of a channel is the set of what was said: whatever was acknowledged stands in the log once, whatever has an
unknown outcome at most once, and nobody's acknowledged word stands behind one that was begun later. The log itself is
read back at the end, from every node, and every client's view must be a slice of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any
from uuid import uuid4

import aiohttp

from tests.system.hubs import Hub
from tests.system.listener import Gone, Listener, RefusedError

API = {"X-API-Key": "the key of the backend"}

#: Publications a client may recover at once.
LIMIT = 40

#: Seconds in which everything that was said must have reached everybody.
PATIENCE = 30.0

CONFIGURATION: dict[str, Any] = {
    "client": {
        "token": {"hmac_secret_key": "the key of the application's backend, 32 bytes"},
        "recovery_max_publication_limit": LIMIT,
    },
    "http_api": {"key": API["X-API-Key"]},
    "channel": {
        "namespaces": [
            {
                "name": "kept",
                "history_size": 10_000,
                "history_ttl": "24h",
                "force_recovery": True,
                "presence": True,
                "allow_subscribe_for_client": True,
                "allow_publish_for_client": True,
                "allow_history_for_subscriber": True,
            },
            {
                "name": "live",
                "presence": True,
                "allow_subscribe_for_client": True,
                "allow_publish_for_client": True,
            },
        ]
    },
}


@dataclass
class Word:
    """One publication, as its publisher knows it; times are monotonic seconds."""

    begun: float
    #: Infinity while the outcome is unknown.
    acknowledged: float = float("inf")
    #: What the server API answered.
    offset: int = 0


@dataclass
class Channel:
    """The model of one channel."""

    name: str
    words: dict[str, Word] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        return self.name.startswith("kept:")

    def has(self, said: Collection[str]) -> bool:
        """Whether all that was acknowledged is there."""
        return {id for id, word in self.words.items() if word.acknowledged < float("inf")} <= set(said)

    def check_order(self, said: list[str]) -> None:
        """Raise AssertionError unless these can stand in the log in this order, a part of it."""
        assert len(set(said)) == len(said), f"twice in {self.name}: {said}"
        assert set(said) <= self.words.keys(), (self.name, set(said) - self.words.keys())
        soonest = float("inf")
        for id in reversed(said):
            word = self.words[id]
            assert word.begun <= soonest, f"{self.name}: {id} was begun after a later one was acknowledged"
            soonest = min(soonest, word.acknowledged)

    def check_log(self, log: list[str]) -> None:
        """Raise AssertionError unless this can be the whole log."""
        self.check_order(log)
        for id, word in self.words.items():
            assert not word.offset or log[word.offset - 1] == id, (self.name, id, word, log)


class World:
    """What a script acts on. Nodes and clients are chosen by number, whatever there are."""

    def __init__(
        self, http: aiohttp.ClientSession, hubs: list[Hub], *, clients: int, narrow: aiohttp.ClientSession
    ) -> None:
        """Every other client connects by `narrow`, so that it falls behind as soon as it does not read."""
        tag = uuid4().hex[:8]
        self._http = http
        self._hubs = hubs
        self._channels = [Channel(f"kept:{tag}-1"), Channel(f"kept:{tag}-2"), Channel(f"live:{tag}-1")]
        self._clients = [Listener(f"{tag}-{n}", (http, narrow)[n % 2], limit=LIMIT) for n in range(clients)]
        #: Ids of clients that a killed node took with it, which are present for a while.
        self._ghosts: set[str] = set()
        self._talking: set[asyncio.Task[None]] = set()
        self._numbers = count(1)

    # What happens.

    async def come(self, client: int, hub: int) -> None:
        """A client connects, and recovers what it wants to listen to."""
        listener = self._client(client)
        if not listener.connected:
            with suppress(Gone):
                await listener.come(await self._hub(hub))

    async def drop(self, client: int) -> None:
        """A client is gone without goodbye."""
        await self._client(client).drop()

    async def subscribe(self, client: int, channel: int, recover: bool) -> None:
        """A client begins to listen, from now or from where it was."""
        await self._by(client, lambda one: one.subscribe(self._channel(channel).name, recover=recover))

    async def unsubscribe(self, client: int, channel: int) -> None:
        """A client does not listen any more."""
        await self._by(client, lambda one: one.unsubscribe(self._channel(channel).name))

    async def say(self, client: int, channel: int, times: int) -> None:
        """A client publishes, one after the other, while the script goes on."""
        listener, about = self._client(client), self._channel(channel)

        async def talk() -> None:
            for _ in range(times):
                id, word = self._word(about)
                try:
                    await listener.publish(about.name, {"id": id})
                except (Gone, RefusedError):
                    return
                word.acknowledged = time.monotonic()

        if listener.connected:
            self._keep(talk())

    async def tell(self, channel: int, hub: int, times: int, size: int) -> None:
        """A backend publishes, each until it is acknowledged, while the script goes on."""
        about = self._channel(channel)

        async def talk() -> None:
            for _ in range(times):
                id, word = self._word(about)
                body = {"channel": about.name, "data": {"id": id, "pad": "x" * size}, "idempotency_key": id}
                for attempt in count(hub):
                    answer = await self._api("publish", await self._hub(attempt), body)
                    if "result" in answer:
                        word.acknowledged, word.offset = time.monotonic(), answer["result"]["offset"]
                        break

        self._keep(talk())

    async def stall(self, client: int, channel: int, hub: int) -> None:
        """A client stops reading, and falls behind on a channel."""
        if (one := self._client(client)).connected:
            await self.subscribe(client, channel, True)
            one.stall()
            await self.tell(channel, hub, 12, 30_000)

    async def go_on(self, client: int) -> None:
        """A client reads again."""
        if (one := self._client(client)).connected:
            one.go_on()

    async def look_back(self, client: int, channel: int, since: int, limit: int) -> None:
        """A client reads history, from somewhere before where it stands."""
        name = self._channel(channel).name

        async def look(one: Listener) -> None:
            seat = one.seats.get(name)
            if seat is not None and seat.listening and seat.recoverable:
                await one.look_back(name, since % (seat.at + 1), limit)

        await self._by(client, look)

    async def kill(self, hub: int) -> None:
        """kill -9 of a node, with its clients."""
        victim = self._hubs[hub % len(self._hubs)]
        self._ghosts |= {one.id for one in self._clients if one.hub is victim}
        await victim.kill()

    async def start(self, hub: int) -> None:
        """A node is started, and gets ready while the script goes on."""
        await self._hubs[hub % len(self._hubs)].start()

    async def settle(self) -> None:
        """Everybody comes, reads and has all that was said; the views are what the model says. Whatever is missing
        is missing until the deadline.
        """
        async with asyncio.timeout(PATIENCE):
            for one in self._clients:
                one.go_on()
            await asyncio.gather(*self._talking)
            for number, one in enumerate(self._clients):
                while not one.connected:
                    await self.come(number, number)
            for channel in self._channels:
                await (self._settle_kept(channel) if channel.kept else self._settle_live(channel))
            await self._settle_presence()
        self._check_failures()

    async def end(self) -> None:
        """Everybody leaves."""
        for task in self._talking:
            task.cancel()
        for one in self._clients:
            await one.leave()
        self._check_failures()

    # What must be true.

    async def _settle_kept(self, channel: Channel) -> None:
        # What is acknowledged is on Kafka: a node may fold it a moment later, and a client hear it another one later.
        logs: list[list[str]] = [[]]
        while not (len({len(log) for log in logs}) == 1 and channel.has(logs[0]) and self._at(channel, len(logs[0]))):
            self._check_failures()
            await asyncio.sleep(0.02)
            logs = [await self._log(channel, hub) for hub in await self._ready()]
        log = logs[0]
        assert all(other == log for other in logs), (channel.name, logs)
        channel.check_log(log)
        for one in self._clients:
            if (seat := one.seats.get(channel.name)) is not None:
                for offset, id in seat.seen.items():
                    assert log[offset - 1] == id, (one.name, channel.name, offset, id, log[offset - 1])

    def _at(self, channel: Channel, top: int) -> bool:
        seats = [one.seats[channel.name] for one in self._clients if channel.name in one.seats]
        return all(seat.at == top for seat in seats if seat.listening)

    async def _settle_live(self, channel: Channel) -> None:
        seats = [one.seats[channel.name] for one in self._clients if channel.name in one.seats]
        visits = [visit for seat in seats for visit in seat.visits]
        for visit in visits:
            # What was begun after it was there must come, unless it has ended meanwhile.
            due = {
                id
                for id, word in channel.words.items()
                if visit.since < word.begun and word.acknowledged < float("inf")
            }
            while not visit.over and not due <= set(visit.heard):
                self._check_failures()
                await asyncio.sleep(0.02)
            channel.check_order(visit.heard)
        for one, other in pairwise(visits):
            check_slices(one.heard, other.heard)

    async def _settle_presence(self) -> None:
        for channel in self._channels:
            listening = {one.id for one in self._clients if self._listens(one, channel)}
            for hub in await self._ready():
                while True:
                    there = await self._present(channel, hub)
                    if listening <= there <= listening | self._ghosts:
                        break
                    await asyncio.sleep(0.02)

    async def exorcised(self, http: aiohttp.ClientSession) -> None:
        """Wait until nobody is present any more; all have left."""
        self._http = http
        async with asyncio.timeout(PATIENCE):
            for channel in self._channels:
                for hub in await self._ready():
                    while await self._present(channel, hub):
                        await asyncio.sleep(0.1)

    def _listens(self, one: Listener, channel: Channel) -> bool:
        seat = one.seats.get(channel.name)
        return one.connected and seat is not None and seat.listening

    def _check_failures(self) -> None:
        for one in self._clients:
            if one.failed is not None:
                raise one.failed
            # A client that does not read may fall behind further than a channel without history remembers; no other.
            lively = any(seat.visits and not seat.recoverable for seat in one.seats.values())
            assert one.code in (None, 1000, 1006) or (one.code == 3008 and lively), (one.name, one.code)

    # How.

    def _client(self, number: int) -> Listener:
        return self._clients[number % len(self._clients)]

    def _channel(self, number: int) -> Channel:
        return self._channels[number % len(self._channels)]

    def _word(self, channel: Channel) -> tuple[str, Word]:
        id = f"{channel.name}/{next(self._numbers)}"
        return id, channel.words.setdefault(id, Word(time.monotonic()))

    def _keep(self, talk: Coroutine[Any, Any, None]) -> None:
        self._talking.add(asyncio.create_task(talk))

    async def _by(self, client: int, act: Callable[[Listener], Awaitable[None]]) -> None:
        """Let a client do something, if it is there; its connection may end meanwhile."""
        if (one := self._client(client)).connected:
            one.go_on()
            with suppress(Gone):
                await act(one)

    async def _ready(self) -> list[Hub]:
        """The nodes that are ready, at least one."""
        while not (ready := [hub for hub in self._hubs if await hub.answers(self._http)]):
            if all(hub.process is None for hub in self._hubs):
                await self._hubs[0].start()
            await asyncio.sleep(0.05)
        return ready

    async def _hub(self, number: int) -> Hub:
        """That node if it is ready, else one that is."""
        ready, wanted = await self._ready(), self._hubs[number % len(self._hubs)]
        return wanted if wanted in ready else ready[0]

    async def _api(self, method: str, hub: Hub, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of the server API; nothing if there was none."""
        try:
            async with self._http.post(f"{hub.url}/api/{method}", json=body, headers=API) as reply:
                answer: dict[str, Any] = await reply.json() if reply.status == 200 else {}
                return answer
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(0.02)  # it was just killed
            return {}

    async def _log(self, channel: Channel, hub: Hub) -> list[str]:
        """All of a channel, as a node has it; nothing while it does not answer."""
        since = {"offset": 0, "epoch": ""}
        answer = await self._api("history", hub, {"channel": channel.name, "limit": -1, "since": since})
        found = answer.get("result", {}).get("publications", [])
        assert [one["offset"] for one in found] == list(range(1, len(found) + 1)), (channel.name, hub.name, found)
        return [one["data"]["id"] for one in found]

    async def _present(self, channel: Channel, hub: Hub) -> set[str]:
        answer = await self._api("presence", hub, {"channel": channel.name})
        return set(answer["result"]["presence"])


def check_slices(one: list[str], other: list[str]) -> None:
    """Raise AssertionError unless both can be slices of one list: between what they share they are the same."""
    shared = set(one) & set(other)
    if shared:
        parts = []
        for heard in (one, other):
            at = [number for number, id in enumerate(heard) if id in shared]
            parts.append(heard[at[0] : at[-1] + 1])
        assert parts[0] == parts[1], parts
