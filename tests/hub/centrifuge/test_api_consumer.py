"""Commands from the topic `hub.api`: done in order, once, by one node; wrong ones set aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import IllegalStateError

from hub import publish
from hub.centrifuge import api_consumer
from hub.centrifuge.api_record import command
from hub.centrifuge.codec import Malformed
from hub.control import CONTROL
from hub.keys import POOL
from hub.publish import PUBLISHER, OutcomeUnknown
from settings import Settings
from streams import kafka
from streams.topics import API
from tests.hub.centrifuge.test_api import configured
from tests.hub.nodes import Node, node, prepare


class Writer:
    """A backend that writes commands to the topic."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def raw(self, value: bytes, headers: Mapping[str, str] | None = None, partition: int = 3) -> None:
        sent = [(name, text.encode()) for name, text in (headers or {}).items()]
        await self._producer.send_and_wait(self._topic, value, partition=partition, headers=sent)

    async def __call__(self, method: str, /, partition: int = 3, **payload: Any) -> None:
        await self.raw(orjson.dumps({"method": method, "payload": payload}), partition=partition)


@asynccontextmanager
async def writer(settings: Settings) -> AsyncIterator[Writer]:
    async with kafka.producer(settings) as producer:
        yield Writer(producer, settings.kafka_prefix + API.name)


async def said(hub: Node, user: int, count: int) -> list[Any]:
    """What `activity` says, once it has said so much: numbers and data."""
    async with hub.socket("/ws/activity/", user, since=0) as client:
        return [(frame["offset"], frame["data"]) for frame in await client.take(count)]


async def dead(pool: asyncpg.Pool, count: int) -> list[tuple[str, str]]:
    """What was set aside, once it is so much: place and error."""
    async with asyncio.timeout(30):
        while True:
            rows = await pool.fetch("SELECT key, data FROM events WHERE topic = 'hub.dead' ORDER BY id")
            if len(rows) >= count:
                return [(row["key"], orjson.loads(row["data"])["error"]) for row in rows]
            await asyncio.sleep(0.02)


async def test_commands_are_done_in_order_and_wrong_ones_set_aside(settings: Settings, tmp_path: Path) -> None:
    settings = configured(settings, tmp_path)
    users = await prepare(settings)
    async with writer(settings) as write, node(settings) as hub:
        disconnected = asyncio.Event()

        async def disconnect(content: Mapping[str, Any]) -> None:
            assert content["user"] == "7"
            disconnected.set()

        hub.app[CONTROL].on("disconnect", disconnect)
        await write("publish", channel="activity", data=1)
        await write.raw(b"nonsense")
        await write("publish", channel="activity", data=2, idempotency_key="k")
        await write("publish", channel="activity", data=2, idempotency_key="k")
        await write("publish", channel=7, data=3)
        await write("history", channel="activity")
        await write("broadcast", channels=["lead:7", "activity", "unheard:of"], data=4)
        await write.raw(b"5", {"centrifugo-channels": "activity, news", "centrifugo-tag-a": "b"})
        await write.raw(b'{"channel":"activity","data":6}', {"centrifugo-method": "publish"})
        await write("disconnect", user="7")
        assert await said(hub, users["admin"], 5) == [(1, 1), (2, 2), (3, 4), (4, 5), (5, 6)]
        async with asyncio.timeout(30):
            await disconnected.wait()
        buried = await dead(hub.app[POOL], 4)
        assert [key for key, _ in buried] == [f"hub.api:3:{offset}" for offset in (1, 4, 5, 6)]
        assert [error for _, error in buried][1] == "payload.channel must be a text."
        assert [error for _, error in buried][3].endswith("; unknown channel")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that takes members in soon; Apache Kafka refuses this."""
    monkeypatch.setattr(kafka, "SESSION_TIMEOUT", 1_000)
    monkeypatch.setattr(kafka, "HEARTBEAT", 200)


def done() -> float:
    """Records that nodes of this process have done."""
    return float(api_consumer.RECORDS.labels("done")._value.get())


async def until_done(count: float) -> None:
    async with asyncio.timeout(30):
        while done() < count:
            await asyncio.sleep(0.02)


async def test_a_command_done_again_after_a_crash_says_nothing_twice(
    here: Settings, tmp_path: Path, quick: None
) -> None:
    async def lost(*_: object) -> None:
        raise IllegalStateError("as if the node had died before")

    here = configured(here, tmp_path)
    users = await prepare(here)
    async with writer(here) as write:
        for n in range(3):
            await write("publish", channel="activity", data=n, partition=n)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(AIOKafkaConsumer, "commit", lost)
            before = done()
            async with node(here) as hub:
                await until_done(before + 3)
                first = await said(hub, users["admin"], 3)
        before = done()
        async with node(here) as hub:
            await until_done(before + 3)
            await write("publish", channel="activity", data="last", partition=1)
            assert await said(hub, users["admin"], 4) == [*first, (4, "last")]
            assert sorted(data for _, data in first) == [0, 1, 2]


async def test_what_fails_for_the_moment_is_done_later_and_nothing_overtakes_it(
    here: Settings, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_consumer, "RETRY", 0.05)
    here = configured(here, tmp_path)
    users = await prepare(here)
    async with writer(here) as write, node(here) as hub:
        publisher, failures = hub.app[PUBLISHER], iter([OutcomeUnknown, OutcomeUnknown, None])
        send = publisher.send

        async def fail(wanted: publish.Publish) -> None:
            if wanted.payload == b"2" and (error := next(failures)):
                raise error
            await send(wanted)

        publisher.send = fail  # type: ignore[method-assign, assignment]
        for n in range(1, 5):
            await write("publish", channel="activity", data=n)
        assert await said(hub, users["admin"], 4) == [(n, n) for n in range(1, 5)]


async def test_two_nodes_share_the_topic(here: Settings, tmp_path: Path, quick: None) -> None:
    here = configured(here, tmp_path)
    users = await prepare(here)
    async with writer(here) as write, node(here) as hub, node(here) as other:
        for round in range(3):
            for partition in range(8):
                await write("publish", channel="activity", data=[round, partition], partition=partition)
        found = await said(hub, users["admin"], 24)
        assert await said(other, users["admin"], 24) == found
        assert sorted(data for _, data in found) == [[r, p] for r in range(3) for p in range(8)]
        for partition in range(8):
            rounds = [data[0] for _, data in found if data[1] == partition]
            assert rounds == [0, 1, 2]


def consumed(value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> Any:
    return ConsumerRecord("hub.api", 3, 7, 0, 0, None, value, None, 0, len(value), tuple(headers))


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"", []),
        (b"null", []),
        (b"[]", []),
        (b'{"method":"publish"}', []),
        (b'{"method":7,"payload":{}}', []),
        (b'{"method":"publish","payload":[]}', []),
        (b'{"method":"info","payload":{}}', []),
        (b'{"method":"batch","payload":{"commands":[]}}', []),
        (b"\xff", [("centrifugo-channels", b"news")]),
        (b"7", [("centrifugo-method", b"publish")]),
        (b"{}", [("centrifugo-method", b"nothing")]),
    ],
)
def test_what_is_no_command(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(Malformed):
        command(consumed(value, headers))
