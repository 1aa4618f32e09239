"""Faust itself, without our code, on each broker: an agent consumes, shares partitions, and restarts where it was.

This is the ground everything in streams/ stands on, and the test to run first when Kafka, Faust or aiokafka changes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.watchdog import STALLED_AFTER

PARTITIONS = 8


class Board:
    """What each worker was assigned and took, and the means to wait for it."""

    def __init__(self) -> None:
        self.taken: dict[str, set[int]] = defaultdict(set)
        self.assigned: dict[str, int] = {}
        self._changed = asyncio.Condition()

    async def take(self, worker: str, value: bytes) -> None:
        async with self._changed:
            self.taken[worker].add(int(value))
            self._changed.notify_all()

    async def assign(self, worker: str, partitions: int) -> None:
        async with self._changed:
            self.assigned[worker] = partitions
            self._changed.notify_all()

    async def shows(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    async def has(self, numbers: range) -> None:
        await self.shows(lambda: set(numbers) <= set().union(*self.taken.values()))

    async def soon_has(self, numbers: range) -> bool:
        """Whether it has them before the time is over after which a watchdog ends a worker."""
        try:
            async with asyncio.timeout(STALLED_AFTER):
                await self.has(numbers)
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def worker(kafka: str, prefix: str, name: str, board: Board, folder: Path) -> AsyncIterator[None]:
    """One Faust worker in the test's group, running until the block ends."""
    app = faust.App(
        f"{prefix}group",
        broker=[f"kafka://{address}" for address in kafka.split(",")],
        store="memory://",
        web_enabled=False,
        datadir=folder,
        value_serializer="raw",
        broker_session_timeout=6,
        broker_heartbeat_interval=1,
        topic_disable_leader=True,
    )

    @app.agent(app.topic(f"{prefix}numbers", value_type=bytes))
    async def take(stream: faust.StreamT[bytes]) -> None:
        async for value in stream:
            await board.take(name, value)

    @app.on_partitions_assigned.connect(weak=False)
    async def assigned(app: faust.App, partitions: set[object], **_: object) -> None:
        await board.assign(name, len(partitions))

    await app.start()
    try:
        yield
    finally:
        await app.stop()


async def test_consumes_rebalances_and_restarts(kafka: str, prefix: str, tmp_path: Path) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(f"{prefix}numbers", PARTITIONS, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()

    async def produce(numbers: range) -> None:
        for i in numbers:
            await producer.send_and_wait(f"{prefix}numbers", b"%d" % i, partition=i % PARTITIONS)

    board = Board()
    try:
        async with asyncio.timeout(150):
            async with worker(kafka, prefix, "first", board, tmp_path):
                await produce(range(80))
                await board.has(range(80))
                async with worker(kafka, prefix, "second", board, tmp_path):
                    await board.shows(lambda: board.assigned.get("first") == board.assigned.get("second") == 4)
                    await produce(range(80, 160))
                    await board.has(range(160))
                    assert board.taken["second"] & set(range(80, 160))
                await board.shows(lambda: board.assigned["first"] == PARTITIONS)
                await produce(range(160, 240))
                stalled = not await board.soon_has(range(240))
            if stalled:
                # Faust stalls after a rebalance now and then; what our workers do about it must help here, too.
                async with worker(kafka, prefix, "instead of first", board, tmp_path):
                    await board.has(range(240))
            async with worker(kafka, prefix, "third", board, tmp_path):
                await produce(range(240, 320))
                await board.has(range(320))
    finally:
        await producer.stop()
        await admin.close()
    assert board.taken["third"] == set(range(240, 320))
