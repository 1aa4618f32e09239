"""What nodes say to each other, on real nodes in one process: orders, surveys, who is alive, who is present."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import client as kafka_client
from aiokafka.errors import KafkaConnectionError

from actors.presence import ClientInfo
from hub import control, presence, surveys
from hub.control import TooLarge
from hub.publish import OutcomeUnknown
from hub.version import VERSION
from settings import Settings
from streams import kafka
from streams.topics import CONTROL, partition_of
from tests.hub.cable import cable
from tests.hub.nodes import Node, node, prepare
from tests.system.description import CONTROL as CONTROL_RECORDS
from tests.system.description import described_as
from tests.system.stack import ROOT


def info(client: str, user: str = "7") -> ClientInfo:
    return ClientInfo(user=user, client=client, conn_info=b'{"name":"Ada"}', chan_info=b"\xff\x00")


@dataclass
class Watcher:
    """What one node is told of who joins and leaves."""

    node: Node
    told: list[tuple[str, str, str]] = field(default_factory=list)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.node.presence.watch(self.note("+"), self.note("-"))

    def note(self, sign: str) -> Callable[[str, ClientInfo], None]:
        def note(channel: str, info: ClientInfo) -> None:
            self.told.append((sign, channel, info.client))
            self.moved.set()

        return note

    async def sees(self, *told: str) -> None:
        """Wait until exactly this was told, such as "+news one", in any order of clients."""
        wanted = sorted((one[0], *one[1:].split(" ")) for one in told)
        async with asyncio.timeout(20):
            while len(self.told) < len(wanted):
                self.moved.clear()
                await self.moved.wait()
        assert sorted(self.told) == wanted

    async def knows(self, channel: str, *clients: str) -> None:
        """Wait until these are in a channel."""
        async with asyncio.timeout(20):
            while set(self.node.presence.of(channel)) != set(clients):
                self.moved.clear()
                await self.moved.wait()


async def acquainted(*nodes: Node) -> None:
    """Wait until all know all."""
    async with asyncio.timeout(20):
        for one in nodes:
            await one.control.settled()
            while len(one.control.nodes()) < len(nodes):
                await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hearts that beat fast."""
    monkeypatch.setattr(control, "BEAT", 0.2)


def kill(hub: Node) -> None:
    """End what a node says, without a goodbye."""

    async def nothing(*_: object, **__: object) -> bool:
        await asyncio.Event().wait()
        return False

    hub.control._voice.say = nothing  # type: ignore[method-assign]


class Heard:
    """A handler, and what it was given."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    async def __call__(self, content: Mapping[str, Any]) -> None:
        await self.queue.put(content)

    async def take(self, count: int) -> list[Mapping[str, Any]]:
        async with asyncio.timeout(10):
            return [await self.queue.get() for _ in range(count)]


async def test_every_node_carries_out_every_order_once_and_in_order(settings: Settings) -> None:
    await prepare(settings)
    async with node(settings) as one, node(settings) as two, node(settings) as three:
        await acquainted(one, two, three)
        heard = [Heard(), Heard(), Heard()]
        for hub, handler in zip((one, two, three), heard, strict=True):
            hub.control.on("note", handler)
        orders = [{"n": n, "data": bytes([n, 255]), "more": {"a": [None, "ü"]}} for n in range(20)]
        for content in orders:
            await one.control.order("note", content)
        for handler in heard:
            assert await handler.take(20) == orders
            assert handler.queue.empty()


async def test_an_order_that_fails_holds_up_no_other(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.duties.PATIENCE", 0.05)
    await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)

        async def fail(_: Mapping[str, Any]) -> None:
            raise RuntimeError("no")

        async def hang(_: Mapping[str, Any]) -> None:
            await asyncio.Event().wait()

        heard = Heard()
        for name, handler in (("fail", fail), ("hang", hang), ("note", heard)):
            two.control.on(name, handler)
        for name in ("fail", "hang", "unheard of", "note"):
            await one.control.order(name, {})
        assert await heard.take(1) == [{}]


@pytest.mark.one_broker
async def test_a_survey_has_an_answer_of_every_node(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys, "PART", 1000)
    await prepare(settings)
    async with node(settings) as one, node(settings) as two, node(settings) as three:
        await acquainted(one, two, three)
        for n, hub in enumerate((one, two, three)):

            async def answer(content: Mapping[str, Any], n: int = n) -> Any:
                return {"n": n, "asked": content["x"], "much": "é" * 2500 * n}

            hub.control.on("count", answer)
        answers = await two.control.survey("count", {"x": 1})
        expected = {
            hub.control.node: {"n": n, "asked": 1, "much": "é" * 2500 * n} for n, hub in enumerate((one, two, three))
        }
        assert answers == expected


async def test_who_cannot_answer_is_left_out(here: Settings) -> None:
    await prepare(here)
    async with node(here) as one, node(here) as two, node(here) as three:
        await acquainted(one, two, three)

        async def answer(_: Mapping[str, Any]) -> Any:
            return 1

        async def fail(_: Mapping[str, Any]) -> Any:
            raise RuntimeError("no")

        async def hang(_: Mapping[str, Any]) -> Any:
            await asyncio.Event().wait()

        async def wrong(_: Mapping[str, Any]) -> Any:
            return {object()}

        one.control.on("count", answer)
        assert await one.control.survey("count", {}) == {one.control.node: 1}  # the others know nothing of it
        two.control.on("count", answer)
        for bad in (fail, wrong):
            three.control.on("count", bad)
            assert await one.control.survey("count", {}) == {one.control.node: 1, two.control.node: 1}
            assert await three.control.survey("count", {}) == {one.control.node: 1, two.control.node: 1}
        three.control.on("count", hang)
        for asker in (one, three):
            found = await asker.control.survey("count", {}, within=0.2)
            assert found == {one.control.node: 1, two.control.node: 1}
        kill(three)
        with pytest.raises(TooLarge):
            await one.control.survey("count", {"x": "x" * 1_000_000})


@pytest.mark.one_broker
async def test_one_node_handles_what_is_for_it(settings: Settings) -> None:
    await prepare(settings)
    async with node(settings) as one, node(settings) as two:
        await acquainted(one, two)
        given = []

        async def emulate(content: Mapping[str, Any]) -> bool:
            given.append(content["data"])
            return bool(content["session"] == "there")

        two.control.on("emulate", emulate)
        for hub in (one, two):
            assert await hub.control.to_node(two.control.node, "emulate", {"session": "there", "data": b"\n\xff"})
            assert not await hub.control.to_node(two.control.node, "emulate", {"session": "gone", "data": b""})
        assert given == [b"\n\xff", b""] * 2
        assert not await one.control.to_node("nobody", "emulate", {})
        assert not await two.control.to_node(one.control.node, "emulate", {})


async def test_nodes_tell_how_they_are(here: Settings, quick: None) -> None:
    users = await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)
        async with two.socket("/ws/activity/", users["admin"]):
            async with asyncio.timeout(10):
                while one.control.nodes()[two.control.node].num_clients == 0:
                    await asyncio.sleep(0.01)
            told = one.control.nodes()[two.control.node]
            assert (told.num_clients, told.num_users, told.num_subs, told.num_channels) == (1, 1, 1, 1)
            assert (told.uid, told.version) == (two.control.node, VERSION)
            assert told.rss > 10_000_000
            own = two.control.nodes()[two.control.node]
            assert (own.name, own.started, own.num_subs) == (told.name, told.started, told.num_subs)


async def test_everybody_knows_who_is_present(settings: Settings) -> None:
    await prepare(settings)
    async with node(settings) as one, node(settings) as two:
        await acquainted(one, two)
        first, second = Watcher(one), Watcher(two)
        one.presence.enter("news", info("a"))
        one.presence.enter("news", info("a"))
        assert one.presence.of("news") == {"a": info("a")}
        two.presence.enter("news", info("b"))
        two.presence.enter("chat:1", info("b"))
        for watcher in (first, second):
            await watcher.sees("+news a", "+news b", "+chat:1 b")
            assert watcher.node.presence.of("news") == {"a": info("a"), "b": info("b")}
            assert watcher.node.presence.stats("news") == (2, 1)
        async with node(settings) as three:
            await three.control.settled()
            assert three.presence.of("news") == {"a": info("a"), "b": info("b")}
            three.presence.enter("news", info("c", user="8"))
            await first.knows("news", "a", "b", "c")
            await second.knows("news", "a", "b", "c")
            one.presence.leave("news", "a")
            one.presence.leave("news", "a")
            await Watcher(three).knows("news", "b", "c")
        # The third has said goodbye.
        for watcher in (first, second):
            await watcher.sees("+news a", "+news b", "+chat:1 b", "+news c", "-news a", "-news c")
        assert set(one.control.nodes()) == {one.control.node, two.control.node}


async def test_a_killed_node_takes_its_clients_with_it(here: Settings, quick: None) -> None:
    await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)
        watcher = Watcher(one)
        two.presence.enter("news", info("b"))
        await watcher.sees("+news b")
        kill(two)
        await watcher.sees("+news b", "-news b")
        assert set(one.control.nodes()) == {one.control.node}
        async with node(here) as three:
            await acquainted(one, three)
            three.presence.enter("news", info("c"))
            await watcher.sees("+news b", "-news b", "+news c")


async def test_a_survey_does_not_wait_for_a_node_that_died(here: Settings, quick: None) -> None:
    await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)

        async def answer(_: Mapping[str, Any]) -> Any:
            return 1

        one.control.on("count", answer)
        two.control.on("count", answer)
        kill(two)
        async with asyncio.timeout(10):
            assert await one.control.survey("count", {}, within=60) == {one.control.node: 1}


async def test_what_was_lost_is_said_again(here: Settings, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)
        watcher = Watcher(one)
        two.presence.enter("news", info("a"))
        two.presence.enter("news", info("b"))
        await watcher.sees("+news a", "+news b")

        async def lose(*_: Any, **__: Any) -> Any:
            raise KafkaConnectionError

        with monkeypatch.context() as patch:
            patch.setattr(two.control._voice._producer, "send", lose)
            two.presence.leave("news", "a")
            two.presence.enter("news", info("c"))
            with pytest.raises(OutcomeUnknown):
                await two.control.order("note", {})
            assert set(one.presence.of("news")) == {"a", "b"}
        await watcher.sees("+news a", "+news b", "-news a", "+news c")


async def test_nobody_is_gone_only_because_kafka_is_away(
    here: Settings, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.voice.PATIENCE", 0.3)
    await prepare(here)
    straight = vars(kafka_client)["create_conn"]
    async with cable(int(here.kafka.split(":")[1])) as line:
        monkeypatch.setattr(
            kafka_client, "create_conn", lambda host, port, **rest: straight("127.0.0.1", line.port, **rest)
        )
        async with node(here) as one, node(here) as two:
            await acquainted(one, two)
            watcher = Watcher(one)
            two.presence.enter("news", info("a"))
            await watcher.sees("+news a")
            await line.cut()
            two.presence.enter("news", info("b"))
            assert set(two.presence.of("news")) == {"a", "b"}
            with pytest.raises(OutcomeUnknown):
                await two.control.order("note", {})
            assert await two.control.survey("count", {}, within=0.1) == {}
            async with asyncio.timeout(10):
                while not one.control._roster._deaf(asyncio.get_running_loop().time() - 1):
                    await asyncio.sleep(0.05)
            await line.mend()
            await watcher.sees("+news a", "+news b")
            assert set(one.presence.of("news")) == {"a", "b"}
            await acquainted(one, two)


async def test_a_storm_makes_few_records(here: Settings) -> None:
    await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)
        watcher = Watcher(one)
        before = two.control._voice._n
        clients = [f"client{n:05d}" for n in range(10_000)]
        for client in clients:
            two.presence.enter("news", info(client))
        await watcher.knows("news", *clients)
        assert two.control._voice._n - before < 30
        async with node(here) as three:
            await three.control.settled()
            assert set(three.presence.of("news")) == set(clients)
            assert len(watcher.told) == 10_000


async def test_more_than_can_wait_is_said_as_a_whole(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "WAITING", 50)
    monkeypatch.setattr(presence, "RECORD", 7)
    await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)
        watcher = Watcher(one)
        two.presence.enter("news", info("gone"))
        await watcher.sees("+news gone")
        two.presence.leave("news", "gone")
        for n in range(60):
            two.presence.enter("news", info(str(n)))
        await watcher.sees("+news gone", "-news gone", *[f"+news {n}" for n in range(60)])


async def test_a_watcher_that_fails_is_alone(here: Settings) -> None:
    await prepare(here)
    async with node(here) as one:

        def fail(_channel: str, _info: ClientInfo) -> None:
            raise RuntimeError("no")

        one.presence.watch(fail, fail)
        watcher = Watcher(one)
        one.presence.enter("news", info("a"))
        assert watcher.told == [("+", "news", "a")]


async def test_what_is_not_for_nodes_is_passed_over(here: Settings) -> None:
    await prepare(here)
    async with node(here) as one, node(here) as two, kafka.producer(here) as producer:
        await acquainted(one, two)
        strange = two.control.node.encode()
        for headers in (
            [],
            [("ce_type", b"disconnect"), ("ce_sequence", b"%020d" % 1), ("ce_id", b"1")],
            [("ce_type", b"hub.order"), ("ce_node", b"x"), ("ce_nodesequence", b"nonsense")],
            [("ce_type", b"hub.order"), ("ce_node", b"x\xff"), ("ce_nodesequence", b"1")],
            [("ce_type", b"hub.order"), ("ce_node", b"x"), ("ce_nodesequence", b"1")],
            [("ce_type", b"hub.survey"), ("ce_node", b"x"), ("ce_nodesequence", b"2"), ("ce_survey", b"s")],
            [("ce_type", b"hub.answer"), ("ce_node", b"x"), ("ce_nodesequence", b"3"), ("ce_to", strange)],
            [("ce_type", b"hub.node.moved"), ("ce_node", b"x"), ("ce_nodesequence", b"4")],
            [("ce_type", b"hub.node.present"), ("ce_node", b"x"), ("ce_nodesequence", b"5")],
            [("ce_type", b"hub.node.sings"), ("ce_node", b"x"), ("ce_nodesequence", b"6")],
        ):
            for value in (None, b"", b"\xff", b"[]", b"{}", b'{"changes":[[]],"clients":[[1]]}'):
                await _put(producer, here, value, headers)
        heard = Heard()
        two.control.on("note", heard)
        await one.control.order("note", {})
        assert await heard.take(1) == [{}]
        assert not two.control.failed.done()


async def _put(producer: AIOKafkaProducer, settings: Settings, value: bytes | None, headers: Any) -> None:
    key = "7"
    await producer.send_and_wait(
        settings.kafka_prefix + CONTROL.name, value, key=key.encode(), partition=partition_of(key), headers=headers
    )


async def test_every_record_is_as_described(here: Settings, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys, "PART", 1000)
    await prepare(here)
    async with node(here) as one, node(here) as two:
        await acquainted(one, two)

        async def answer(content: Mapping[str, Any]) -> Any:
            return "much" * content["n"]

        two.control.on("count", answer)
        for n in (1, 1000):
            await one.control.survey("count", {"n": n, "data": b"\xff"})
        await one.control.to_node(two.control.node, "unheard of", {})
        await one.control.order("note", {})
        watcher = Watcher(two)
        one.presence.enter("news", info("a"))
        one.presence.enter("news", ClientInfo(user="", client="b"))
        one.presence.leave("news", "a")
        await watcher.sees("+news a", "-news a", "+news b")
        one.control._voice._n += 1  # as if one was lost
        async with asyncio.timeout(20):
            while "hub.node.again" not in (seen := await _described(here)):
                await asyncio.sleep(0.05)
    assert await _described(here) == set(CONTROL_RECORDS)
    assert seen == set(CONTROL_RECORDS) - {"hub.node.goodbye"}


async def _described(settings: Settings) -> set[str]:
    """Types of all records there are, each held against the description."""
    seen = set()
    async with kafka.consumer(settings, fetch_wait=5) as consumer:
        places = control.places(settings)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        for place, end in (await consumer.end_offsets(places)).items():
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=1000)).get(place, ()):
                    seen.add(described_as(CONTROL.name, record))
    return seen


async def test_a_node_that_cannot_go_on_hearing_is_not_ready(here: Settings) -> None:
    await prepare(here)
    async with node(here) as one:
        await one.control.settled()
        assert one.control.ready
        one.control.failed.set_exception(RuntimeError("over"))
        one.control.failed.exception()
        async with one.http.get(f"{one.url}/health/ready") as reply:
            assert reply.status == 503


def test_the_version_is_that_of_the_project() -> None:
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()
