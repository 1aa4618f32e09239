"""What nodes say to each other, over `hub.control`: orders to all, surveys of all, who is alive, who is present.

A starting node says hello and is told what is the case. A node that is not heard for three heartbeats is gone.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psutil
import structlog
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import Gauge

from actors.presence import NodeInfo, Said
from actors.roster import Roster
from hub import control_records as records
from hub.control_records import ControlError, Heard
from hub.duties import Duties, Handler
from hub.ear import Ear
from hub.fold import FOLD, Fold
from hub.keys import SETTINGS
from hub.presence import PRESENCE, Presence
from hub.publish import OutcomeUnknown
from hub.sessions import SESSIONS, Sessions
from hub.surveys import Surveys, failure, read
from hub.version import VERSION
from hub.voice import Voice
from settings import Settings
from streams import kafka
from streams.envelope import LARGEST_DATA
from streams.topics import CONTROL as TOPIC
from streams.topics import PARTITIONS

log = structlog.get_logger()

#: Seconds between heartbeats.
BEAT = 3.0

#: Heartbeats missed by a node that is gone; the next one may be on its way.
MISSED = 3.3

#: Seconds a starting node gives the others to begin to tell, and to have told everything.
BEGIN, SETTLE = 0.25, 2.0

#: Seconds the node that owns a session has to answer for it.
OWNER = 5.0

#: Seconds a stopping node gives Kafka to take its goodbye.
FAREWELL = 1.0

NODES = Gauge("hub_nodes", "Nodes this node knows to be alive, itself included")
PRESENT = Gauge("hub_presence_entries", "Clients present in channels, on all nodes")


class TooLarge(ValueError):
    """An order or a question does not fit into a record."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a node tells of itself."""

    clients: int
    #: Distinct ones.
    users: int
    subs: int
    #: Channels that somebody listens to.
    channels: int


class Control:
    """What this node says to others, and does when they say something. `failed` ends with what ended that."""

    def __init__(self, node: str, name: str, voice: Voice, roster: Roster, presence: Presence) -> None:
        #: The uid of this node, a new one at each start.
        self.node = node
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: Counts what heartbeats tell; whoever knows more of the clients may put a better one here.
        self.counts: Callable[[], Counts] = lambda: Counts(clients=0, users=0, subs=0, channels=0)
        self._name = name
        self._started = time.time()
        self._voice = voice
        self._roster = roster
        self._presence = presence
        self._duties = Duties()
        self._surveys = Surveys(node, voice)
        self._answering: set[asyncio.Task[None]] = set()
        self._process = psutil.Process()
        self._settled = asyncio.Event()
        #: A new node wants to know how we are, without waiting for the next heartbeat.
        self._asked = asyncio.Event()

    # For the rest of the hub.

    def on(self, name: str, handler: Handler) -> None:
        """Have an order or a survey of this name handled; what the handler returns is the answer, JSON.

        Orders are carried out one by one, each within ten seconds: a handler hands off what takes long.
        """
        self._duties.on(name, handler)

    async def order(self, name: str, content: Mapping[str, Any]) -> None:
        """Tell every node, this one included, to do something; returns when the order is on the log.

        Values of `content` are JSON or bytes. Raises OutcomeUnknown and TooLarge.
        """
        request = _request(name, content)
        if not await self._voice.say(records.ORDER, request):
            raise OutcomeUnknown
        await self._duties.order(*records.requested(request))

    async def survey(self, name: str, content: Mapping[str, Any], *, within: float = 2.0) -> dict[str, Any]:
        """Ask every living node, this one included; answers by node uid. Who does not answer in time is left out.

        Raises TooLarge.
        """
        request = _request(name, content)
        own = asyncio.create_task(self._duties.answer(*records.requested(request)))
        answers: dict[str, Any] = {}
        try:
            answers, _ = await asyncio.gather(
                self._surveys.ask(self._roster.living(), name, request, within=within),
                asyncio.wait({own}, timeout=within),
            )
            if own.done():
                answers[self.node] = read(own.result())
            else:
                log.warning("survey_missed", name=name, nodes=[self.node])
        except ValueError as error:
            log.warning("survey_not_answered", name=name, node=self.node, error=str(error))
        finally:
            own.cancel()
        return answers

    async def to_node(self, node: str, name: str, content: Mapping[str, Any]) -> bool:
        """Have one node handle something; whether it did, which its handler answers. False if there is no such node.

        Raises TooLarge.
        """
        request = _request(name, content)
        if node != self.node:
            living = self._roster.living() & {node}
            return bool((await self._surveys.ask(living, name, request, within=OWNER, to=node)).get(node))
        try:
            return bool(read(await self._duties.answer(*records.requested(request))))
        except ValueError as error:
            log.warning("survey_not_answered", name=name, node=node, error=str(error))
            return False

    def nodes(self) -> dict[str, NodeInfo]:
        """Living nodes by uid, as their last heartbeats told; this one as it is now."""
        return self._roster.nodes() | {self.node: self._info()}

    @property
    def ready(self) -> bool:
        """Whether this node knows what the others say of themselves, or has waited for them long enough."""
        return self._settled.is_set() and not self.failed.done()

    async def settled(self) -> None:
        """Wait for that."""
        await self._settled.wait()

    # Life.

    async def run(self, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> None:
        """Say and hear until cancelled; whatever ends it otherwise is in `failed`."""
        ear = Ear(consumer, places, self._hear)
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (ear.run(), self._presence.run(self._voice), self._duties.run(), self._settle(ear)):
                    tasks.create_task(part)
                tasks.create_task(self._beat())
                tasks.create_task(self._watch())
        except* Exception as errors:
            error = errors.exceptions[0]
            log.error("control_failed", error=repr(error))
            self.failed.set_exception(error)
            self.failed.exception()  # whoever waits for it gets it; if nobody does, it stands in the log line
        finally:
            for answering in self._answering:
                answering.cancel()

    async def leave(self) -> None:
        """Say goodbye."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._voice.say(records.GOODBYE)

    async def _settle(self, ear: Ear) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await self._voice.say(records.HELLO, records.alive(self._info()))
                await asyncio.sleep(BEGIN)
                while not self._roster.complete:
                    await ear.moved()
        self._settled.set()
        log.info("control_settled", node=self.node, nodes=len(self._roster.living()) + 1)

    async def _beat(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._asked.wait()
            self._asked.clear()
            await self._voice.say(records.HEARTBEAT, records.alive(self._info()))

    async def _watch(self) -> None:
        """Look who is gone, and ask whoever was not understood."""
        while True:
            await asyncio.sleep(BEAT / 6)
            now = asyncio.get_running_loop().time()
            self._presence.expire(now)
            living = self._roster.living()
            self._surveys.keep(living)
            NODES.set(len(living) + 1)
            PRESENT.set(len(self._roster))
            for node in self._roster.unsure(now):
                log.info("presence_asked_again", node=node)
                await self._voice.say(records.AGAIN, to=node)

    def _info(self) -> NodeInfo:
        counts = self.counts()
        return NodeInfo(
            uid=self.node,
            name=self._name,
            version=VERSION,
            started=self._started,
            num_clients=counts.clients,
            num_users=counts.users,
            num_subs=counts.subs,
            num_channels=counts.channels,
            cpu=self._process.cpu_percent(),
            rss=self._process.memory_info().rss,
        )

    # Hearing.

    async def _hear(self, heard: Heard, said: Said) -> None:
        if self._roster.repeats(said):
            return
        self._presence.hear(said, asyncio.get_running_loop().time())
        if heard.type == records.HELLO:
            self._presence.say_all()
            if heard.node != self.node:
                self._asked.set()
        elif heard.type == records.GOODBYE:
            self._surveys.keep(self._roster.living())
        elif heard.node != self.node and heard.to in ("", self.node):
            await self._follow(heard)

    async def _follow(self, heard: Heard) -> None:
        """Do what another node wants of this one."""
        match heard.type:
            case records.AGAIN:
                self._presence.say_all()
            case records.ANSWER:
                self._surveys.take(heard)
            case records.SURVEY:
                answering = asyncio.create_task(self._answer(heard))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
            case records.ORDER:
                try:
                    await self._duties.order(*records.requested(heard.value))
                except ControlError as error:
                    log.warning("order_unreadable", node=heard.node, error=str(error))

    async def _answer(self, asked: Heard) -> None:
        try:
            body = await self._duties.answer(*records.requested(asked.value))
        except ControlError as error:
            body = failure(str(error))
        await self._surveys.answer(asked, body)


def _request(name: str, content: Mapping[str, Any]) -> bytes:
    request = records.request(name, content)
    if len(request) > LARGEST_DATA:
        raise TooLarge(f"{name}: {len(request)} bytes")
    return request


CONTROL = web.AppKey("control", Control)


async def keep_control(app: web.Application) -> AsyncIterator[None]:
    """Control and presence of an application, from its start to its goodbye; needs its fold and sessions."""
    settings, fold, sessions = app[SETTINGS], app[FOLD], app[SESSIONS]
    node = str(uuid4())
    async with kafka.producer(settings) as producer:
        roster = Roster(node, lost_after=MISSED * BEAT)
        app[PRESENCE] = presence = Presence(roster)
        voice = Voice(node, producer, settings.kafka_prefix + TOPIC.name)
        app[CONTROL] = control = Control(node, f"{socket.gethostname()}_{settings.port}", voice, roster, presence)
        control.counts = lambda: _count(fold, sessions)
        running = asyncio.create_task(control.run(fold.consumer, places(settings)))
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await control.leave()


def places(settings: Settings) -> list[TopicPartition]:
    """All partitions of `hub.control`."""
    return [TopicPartition(settings.kafka_prefix + TOPIC.name, partition) for partition in range(PARTITIONS)]


def _count(fold: Fold, sessions: Sessions) -> Counts:
    return Counts(
        clients=len(sessions),
        users=len({viewer.id for viewer in sessions.viewers}),
        subs=sum(partition.listeners for partition in fold.partitions),
        channels=sum(partition.channels for partition in fold.partitions),
    )
