"""An agent's place in Kafka: one Faust app, with a consumer group of its own, that feeds the agent's runtime.

What Faust does to events on its own is not what we need, and each setting here says why: its acks come before the
work is known to be done, its batches wait, and its consumers ask the broker to hold a fetch for 1.5 seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import aiokafka
import faust
import structlog
from faust.transport.drivers import aiokafka as driver

from settings import Settings
from streams import envelope
from streams.agent import BATCH, Agent, Runtime
from streams.catchup import LogMismatch, Place
from streams.envelope import EnvelopeError, Event
from streams.watchdog import MemberStopped

log = structlog.get_logger()

#: Seconds after which the broker takes a silent worker's partitions away; the embedded broker holds a first join for
#: half of it.
SESSION_TIMEOUT = 6
HEARTBEAT = 1


class _Thread(driver.AIOKafkaConsumerThread):
    """A consumer that asks the broker to hold a fetch no longer than we set."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # aiokafka reads it when it starts; Faust has no setting for it.
        consumer._fetch_max_wait_ms = transport.fetch_wait
        return consumer


class _Consumer(driver.Consumer):
    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):
    Consumer = _Consumer
    #: Longest the broker may hold a fetch, in milliseconds.
    fetch_wait = 500


class _App(faust.App):
    """A Faust app without a folder of its own and with our transport."""

    fetch_wait = 500

    def _new_transport(self) -> _Transport:
        transport = _Transport(self.conf.broker_consumer, self)
        transport.fetch_wait = self.fetch_wait
        return transport

    def _create_directories(self) -> None:
        """Faust would keep tables there; we have none."""


class Member:
    """One worker's membership in the group of one agent."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self.runtime = runtime
        #: Partitions this worker has now, and whether that is being settled anew.
        self.assigned: frozenset[Place] = frozenset()
        self.joining = True
        self._prefix = settings.kafka_prefix
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._catching_up: set[asyncio.Task[None]] = set()
        self._app = self._make_app(settings, runtime.agent)

    @property
    def agent(self) -> Agent:
        """The agent it works for."""
        return self.runtime.agent

    async def run(self) -> None:
        """Consume until cancelled. Raises LogMismatch, and MemberStopped when Faust gave up."""
        try:
            await self._app.start()
            stopped = asyncio.ensure_future(self._app.wait_until_stopped())
            await asyncio.wait({stopped, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if self._failed.done():
                self._failed.result()
            raise MemberStopped(f"Faust stopped the agent {self.agent.name}: {self._app.crash_reason!r}")
        finally:
            for task in self._catching_up:
                task.cancel()
            await asyncio.gather(*self._catching_up, return_exceptions=True)
            await self._app.stop()

    def catch_up(self, places: Iterable[Place]) -> None:
        """Take from `events` what is missing in these places, beside whatever the log brings."""
        if not (wanted := list(places)):
            return
        log.info("agent_catches_up", agent=self.agent.name, partitions=len(wanted))
        task = asyncio.create_task(self._catch_up(wanted))
        self._catching_up.add(task)
        task.add_done_callback(self._catching_up.discard)

    async def _catch_up(self, places: list[Place]) -> None:
        try:
            await self.runtime.catch_up(places)
        except LogMismatch as error:
            self._fail(error)

    def _fail(self, error: LogMismatch) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _make_app(self, settings: Settings, agent: Agent) -> _App:
        app = _App(
            f"{settings.kafka_prefix}switchboard.{agent.name}",
            broker=[f"kafka://{address}" for address in settings.kafka.split(",")],
            loop=asyncio.get_running_loop(),
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            broker_session_timeout=SESSION_TIMEOUT,
            broker_heartbeat_interval=HEARTBEAT,
            # Our numbers tell what is new, so the beginning of the log is always a safe place to read from, and a
            # rebalance need not wait for a transaction that backs off.
            consumer_auto_offset_reset="earliest",
            stream_wait_empty=False,
        )
        app.fetch_wait = settings.agent_fetch_wait
        topic = app.topic(
            *(settings.kafka_prefix + name for name in agent.topic_names),
            key_type=bytes,
            key_serializer="raw",
            value_type=bytes,
            value_serializer="raw",
        )
        app.agent(topic, name=agent.name)(self._consume)
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        return app

    async def _consume(self, stream: Any) -> None:
        """Take what is queued in one go, acknowledge it when it is committed."""
        queue = stream.channel.queue
        async for first in stream.noack().events():
            if queue.qsize() < BATCH:
                await asyncio.sleep(self.agent.linger)
            batch = [first]
            while len(batch) < BATCH and not queue.empty():
                batch.append(queue.get_nowait())
            try:
                await self.runtime.take(self._events(batch))
            except LogMismatch as error:
                self._fail(error)
                return
            for event in batch:
                event.ack()

    def _events(self, batch: list[Any]) -> Iterator[Event]:
        """Our events among these records. What cannot be read was put there by somebody else, or `events` has it."""
        for message in (event.message for event in batch):
            topic = message.topic.removeprefix(self._prefix)
            try:
                yield envelope.decode(message.value, topic, message.partition)
            except EnvelopeError as error:
                self.catch_up([Place(topic, message.partition)])
                log.warning(
                    "record_ignored",
                    agent=self.agent.name,
                    topic=topic,
                    partition=message.partition,
                    offset=message.offset,
                    error=str(error),
                )

    async def _on_assigned(self, app: Any, /, *arguments: Any, **_: Any) -> None:
        (assigned,) = arguments
        places = frozenset(Place(tp.topic.removeprefix(self._prefix), tp.partition) for tp in assigned)
        log.info("partitions_assigned", agent=self.agent.name, partitions=len(places), new=len(places - self.assigned))
        self.assigned, self.joining = places, False

    async def _on_revoked(self, app: Any, /, *arguments: Any, **_: Any) -> None:
        self.joining = True
