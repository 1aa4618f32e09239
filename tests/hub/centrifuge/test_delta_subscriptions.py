"""Subscriptions with deltas on a real node: which are, what is marked, and the official client in both formats."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from centrifuge import DeltaType

from hub.centrifuge import fossil
from settings import Settings
from tests.hub.centrifuge.clients import Raw, Told, configured, connection_token, official, raw
from tests.hub.nodes import Node, prepare

#: About the protocol, whatever the broker; what nodes do together is tested on both.
pytestmark = pytest.mark.one_broker

KEY = "the key of the server API"

LISTENED = {
    "history_size": 100,
    "history_ttl": "1h",
    "force_recovery": True,
    "allow_subscribe_for_client": True,
    "allow_publish_for_subscriber": True,
}
SECTIONS: dict[str, Any] = {
    "http_api": {"key": KEY},
    "channel": {
        "namespaces": [
            {"name": "all", "allowed_delta_types": ["fossil"], "delta_publish": True, **LISTENED},
            {"name": "marked", "allowed_delta_types": ["fossil"], **LISTENED},
            {"name": "whole", "delta_publish": True, **LISTENED},
            {
                "name": "latest",
                "allowed_delta_types": ["fossil"],
                "delta_publish": True,
                **LISTENED,
                "force_recovery_mode": "cache",
            },
            {
                "name": "brief",
                "allowed_delta_types": ["fossil"],
                "delta_publish": True,
                "allow_subscribe_for_client": True,
            },
            {"name": "own"},
        ]
    },
}


def said(n: int) -> dict[str, Any]:
    """Something of which most stays the same."""
    return {"n": n, "name": "Zo\u00eb", "stages": ["new", "qualified", "proposal"] * 5}


@asynccontextmanager
async def serving(settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[Node, int]]:
    """A node, and a user who publishes."""
    users = await prepare(settings)
    async with configured(settings, tmp_path, sections=SECTIONS) as hub:
        yield hub, users["admin"]


async def call(hub: Node, method: str, **command: Any) -> None:
    """Ask the server API."""
    headers = {"X-API-Key": KEY}
    async with hub.http.post(f"{hub.url}/api/{method}", json=command, headers=headers) as reply:
        assert "error" not in await reply.json()


class Listener:
    """A hand-made client with one subscription: it says what came and which of it were deltas."""

    def __init__(self, client: Raw) -> None:
        self.client = client
        self._last = b""

    async def subscribe(self, channel: str, **more: Any) -> dict[str, Any]:
        reply = await self.client.ask(2, subscribe={"channel": channel, "delta": "fossil", **more})
        result: dict[str, Any] = reply["subscribe"]
        return result

    async def next(self) -> tuple[int, bool]:
        """`n` of what was said next, and whether it came as a delta."""
        return self.take((await self.client.hear())["push"]["pub"])

    def take(self, publication: dict[str, Any]) -> tuple[int, bool]:
        data, delta = publication["data"].encode(), publication.get("delta", False)
        self._last = fossil.apply(self._last, data) if delta else data
        found = json.loads(self._last)
        assert found == said(found["n"])
        return found["n"], delta


@asynccontextmanager
async def listening(hub: Node) -> AsyncIterator[Listener]:
    async with raw(hub) as client:
        await client.connected(connection_token())
        yield Listener(client)


@pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])
async def test_an_official_client_has_what_was_said_and_was_sent_deltas(
    settings: Settings, tmp_path: Path, protobuf: bool
) -> None:
    class Counting(Told):
        deltas = 0

        async def on_publication(self, context: Any) -> None:
            self.deltas += context.pub.delta
            await super().on_publication(context)

    async with (
        serving(settings, tmp_path) as (hub, user),
        official(hub, connection_token(), protobuf=protobuf) as client,
    ):
        told = Counting()
        subscription = client.new_subscription("all:1", events=told, delta=DeltaType.FOSSIL)
        await subscription.subscribe()
        await subscription.ready()
        for n in range(3):
            await subscription.publish(json.dumps(said(n)).encode() if protobuf else said(n))
        await told.until(lambda: len(told.publications) == 3)
        assert told.deltas == 2
        await client.disconnect()
        for n in range(3, 6):
            await hub.publish(user, "all:1", said(n))
        await client.connect()
        await told.until(lambda: len(told.publications) == 6)
        assert told.deltas == 4
        assert [context.recovered for context in told.subscribed] == [False, True]
        await hub.publish(user, "all:1", said(6))
        await told.until(lambda: len(told.publications) == 7)
        assert told.deltas == 5
        assert [offset for offset, _ in told.publications] == [*range(1, 8)]
        found = [json.loads(data) if protobuf else data for _, data in told.publications]
        assert found == [said(n) for n in range(7)]


async def test_only_what_is_marked_is_a_delta(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings, tmp_path) as (hub, user), listening(hub) as client:
        assert (await client.subscribe("marked:1"))["delta"]
        await hub.publish(user, "marked:1", said(0))
        await hub.publish(user, "marked:1", said(1))
        await call(hub, "publish", channel="marked:1", data=said(2), delta=True)
        await client.client.say({"id": 9, "publish": {"channel": "marked:1", "data": said(3)}})
        assert [await client.next() for _ in range(3)] == [(0, False), (1, False), (2, True)]
        both = [await client.client.hear(), await client.client.hear()]
        assert [client.take(one["push"]["pub"]) for one in both if "push" in one] == [(3, False)]
        await call(hub, "broadcast", channels=["all:1", "marked:1"], data=said(4), delta=True)
        assert await client.next() == (4, True)


async def test_a_namespace_allows_deltas_or_sends_whole(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings, tmp_path) as (hub, user), listening(hub) as client:
        assert "delta" not in await client.subscribe("whole:1")
        for n in range(2):
            await hub.publish(user, "whole:1", said(n))
            assert (await client.client.hear())["push"]["pub"] == {"data": said(n), "offset": n + 1}
        await client.client.ask(3, unsubscribe={"channel": "whole:1"})
        result = await client.subscribe("brief:1")
        assert result["delta"]
        assert "positioned" not in result
        for n in range(3):
            await hub.publish(user, "brief:1", said(n))
        assert [await client.next() for _ in range(3)] == [(0, False), (1, True), (2, True)]
        await client.client.say({"id": 4, "subscribe": {"channel": "all:1", "delta": "xdelta"}})
        assert await client.client.closed() == 3501


async def test_the_last_publication_leads_when_only_it_is_recovered(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings, tmp_path) as (hub, user), listening(hub) as client:
        for n in range(3):
            await hub.publish(user, "latest:1", said(n))
        result = await client.subscribe("latest:1", recover=True)
        assert [client.take(one) for one in result["publications"]] == [(2, False)]
        await hub.publish(user, "latest:1", said(3))
        assert await client.next() == (3, True)


async def test_a_subscription_of_the_server_has_deltas_if_the_client_asks(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings, tmp_path) as (hub, user), raw(hub) as client:
        token = connection_token(subs={"all:1": {}, "all:2": {}, "whole:1": {}})
        asked = {channel: {"delta": "fossil"} for channel in ("all:1", "whole:1")}
        subs = (await client.ask(1, connect={"token": token, "subs": asked}))["connect"]["subs"]
        assert [channel for channel, result in subs.items() if result.get("delta")] == ["all:1"]
        listener = Listener(client)
        for n in range(2):
            await hub.publish(user, "all:1", said(n))
        assert [await listener.next() for _ in range(2)] == [(0, False), (1, True)]
        for n in range(2):
            await hub.publish(user, "all:2", said(n))
            assert (await client.hear())["push"]["pub"]["data"] == said(n)


async def test_what_was_said_since_a_time_comes_as_deltas_after_the_first(settings: Settings, tmp_path: Path) -> None:
    async with serving(settings, tmp_path) as (hub, user), listening(hub) as client:
        for n in range(3):
            await hub.publish(user, "all:1", said(n))
        assert (await client.subscribe("all:1", data={"since": {"time": 1}}))["delta"]
        assert [await client.next() for _ in range(3)] == [(0, False), (1, True), (2, True)]
        await hub.publish(user, "all:1", said(3))
        assert await client.next() == (3, True)
