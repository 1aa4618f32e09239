"""The metrics of a hub node are what was done, and the metrics there are are those that are described."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

import streams.worker
from hub.centrifuge.codes import BAD_REQUEST
from settings import Settings
from tests.hub.centrifuge.clients import configured, connection_token
from tests.hub.nodes import Node, node, prepare

pytestmark = pytest.mark.one_broker

OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


class Metered:
    """A Centrifuge client that counts what goes over its wire, without what carries pings of WebSocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.said: list[int] = []
        self.heard: list[int] = []

    async def ask(self, id: int, **command: Any) -> dict[str, Any]:
        await self.say(json.dumps({"id": id, **command}))
        return await self.hear()

    async def say(self, text: str) -> None:
        self.said.append(len(text.encode()))
        await self.socket.send_str(text)

    async def hear(self) -> dict[str, Any]:
        text = await self.socket.receive_str(timeout=20)
        size = len(text.encode())
        self.heard.append(size + (2 if size < 126 else 4))
        told: dict[str, Any] = json.loads(text)
        return told

    async def closed(self) -> int | None:
        while not self.socket.closed:
            await self.socket.receive(timeout=20)
        return self.socket.close_code


@asynccontextmanager
async def metered(hub: Node) -> AsyncIterator[Metered]:
    async with hub.http.ws_connect(f"{hub.url}/connection/websocket") as socket:
        yield Metered(socket)


Sample = tuple[str, tuple[str, ...]]


async def exposed(hub: Node) -> str:
    async with hub.http.get(f"{hub.url}/metrics") as reply:
        return await reply.text()


async def values(hub: Node) -> dict[Sample, float]:
    """Every sample by its name and the values of its labels, these in the order of their names."""
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(await exposed(hub))
        for sample in family.samples
    }


#: What goes on without clients, and what depends on the clock.
BESIDE = ("hub_control", "hub_nodes", "hub_records", "hub_behind", "hub_publishes", "hub_lag_seconds", "hub_presence")


class Since:
    """How samples have changed since it was made."""

    def __init__(self, hub: Node, before: dict[Sample, float]) -> None:
        self._hub = hub
        self._before = before

    async def changes(self, *prefixes: str) -> dict[Sample, float]:
        """Those that have, of the metrics with these prefixes."""
        found: dict[Sample, float] = {}
        for sample, value in (await values(self._hub)).items():
            if (
                sample[0].startswith(prefixes)
                and not sample[0].startswith(BESIDE)
                and not sample[0].endswith("_created")
            ):
                found[sample] = value - self._before.get(sample, 0.0)
        return {sample: change for sample, change in found.items() if change}

    async def until(self, sample: Sample, change: float) -> None:
        """Wait until this one has changed by so much."""
        async with asyncio.timeout(20):
            while (await values(self._hub)).get(sample, 0.0) - self._before.get(sample, 0.0) != change:
                pass


async def since(hub: Node) -> Since:
    return Since(hub, await values(hub))


async def test_what_a_client_does_is_counted(here: Settings, tmp_path: Path) -> None:
    await prepare(here)
    async with configured(here, tmp_path) as hub:
        before = await since(hub)
        async with metered(hub) as first, metered(hub) as second:
            for client, user in ((first, "u1"), (second, "u2")):
                await client.ask(1, connect={"token": connection_token(user)})
                assert "subscribe" in await client.ask(2, subscribe={"channel": "chat:a"})
            for number in range(3):
                await first.ask(3 + number, publish={"channel": "chat:a", "data": {"n": number, "text": "\u00e9" * 99}})
                await first.hear()
                await second.hear()
            assert "error" in await first.ask(6, subscribe={"channel": "closed:b"})
            assert await before.changes("hub_") == {
                ("hub_connections", ("websocket",)): 2,
                ("hub_subscriptions", ()): 4,  # each has a personal channel
                ("hub_channels", ()): 3,
                ("hub_deliveries_total", ()): 6,
                ("hub_messages_sent_total", ("json",)): len(first.heard) + len(second.heard),
                ("hub_bytes_sent_total", ("json",)): sum(first.heard) + sum(second.heard),
                ("hub_messages_received_total", ("json",)): len(first.said) + len(second.said),
                ("hub_bytes_received_total", ("json",)): sum(first.said) + sum(second.said),
                ("hub_commands_total", ("0", "connect")): 2,
                ("hub_commands_total", ("0", "subscribe")): 2,
                ("hub_commands_total", ("0", "publish")): 3,
                ("hub_commands_total", ("103", "subscribe")): 1,
            }
            lags = await values(hub)
            assert lags["hub_lag_seconds_count", ()] == lags["hub_lag_seconds_bucket", ("+Inf",)] == 3
        await before.until(("hub_connections", ("websocket",)), 0)
        assert await before.changes("hub_subscriptions", "hub_channels", "hub_slow", "hub_closes") == {
            ("hub_closes_total", ("1000",)): 2
        }


async def test_recoveries_and_their_size_are_counted(here: Settings, tmp_path: Path) -> None:
    users = await prepare(here)
    async with configured(here, tmp_path) as hub, metered(hub) as client:
        before = await since(hub)
        await client.ask(1, connect={"token": connection_token()})
        begun = (await client.ask(2, subscribe={"channel": "chat:a"}))["subscribe"]
        await client.ask(3, unsubscribe={"channel": "chat:a"})
        for _ in range(2):
            assert (await hub.publish(users["admin"], "chat:a", 1))[0] == 200
        back = {"channel": "chat:a", "recover": True, "epoch": begun["epoch"], "offset": 0}
        assert (await client.ask(4, subscribe=back))["subscribe"].get("recovered")
        await client.ask(5, unsubscribe={"channel": "chat:a"})
        assert not (await client.ask(6, subscribe={**back, "epoch": "another"}))["subscribe"].get("recovered")
        async with hub.socket("/ws/activity/", users["admin"], since=0, epoch="another"):
            expected: dict[Sample, float] = {
                ("hub_recoveries_total", ("recovered",)): 1,
                ("hub_recoveries_total", ("not_recovered",)): 2,
                **{("hub_recovery_publications_bucket", (end,)): 1 for end in ENDS},
                ("hub_recovery_publications_count", ()): 1,
                ("hub_recovery_publications_sum", ()): 2,
            }
            assert await before.changes("hub_recover") == expected


#: The ranges of recoveries that two publications are in.
ENDS = ("3.0", "10.0", "30.0", "100.0", "300.0", "1000.0", "3000.0", "+Inf")


async def test_what_is_not_taken_is_counted(here: Settings, tmp_path: Path) -> None:
    users = await prepare(here)
    async with configured(here, tmp_path, connection_limit=2, user_connection_limit=1) as hub:
        before = await since(hub)
        async with metered(hub) as first, metered(hub) as second, metered(hub) as third:
            await first.ask(1, connect={"token": connection_token("u1")})
            await second.say(json.dumps({"id": 1, "connect": {"token": connection_token("u1")}}))
            assert await second.closed() == 3504
            await second.socket.close()
            await third.ask(1, connect={"token": connection_token("u2")})
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await hub.http.ws_connect(f"{hub.url}/connection/websocket")
            await third.say("no JSON")
            assert await third.closed() == BAD_REQUEST.code
            async with hub.socket("/ws/activity/", users["admin"]) as plain:
                await plain.socket.send_str("no JSON either")
                assert (await plain.next())["type"] == "error"
                await plain.socket.close(code=4999)
            await before.until(("hub_connections", ("activity",)), 0)
            await before.until(("hub_connections", ("websocket",)), 1)
            assert await before.changes("hub_connections", "hub_closes", "hub_malformed", "hub_commands") == {
                ("hub_connections", ("websocket",)): 1,
                ("hub_connections_refused_total", ("user_connection_limit",)): 1,
                ("hub_connections_refused_total", ("connection_limit",)): 1,
                ("hub_commands_total", ("0", "connect")): 2,
                ("hub_commands_total", ("3504", "connect")): 1,
                ("hub_malformed_total", ("json",)): 1,
                ("hub_malformed_total", ("plain",)): 1,
                ("hub_closes_total", ("3504",)): 1,
                ("hub_closes_total", ("3501",)): 1,
                ("hub_closes_total", ("other",)): 1,  # a client's own, or any client could add a label
            }


JSON = {"Content-Type": "application/json"}


async def test_the_other_formats_are_counted_apart(here: Settings, tmp_path: Path) -> None:
    users = await prepare(here)
    async with configured(here, tmp_path, sections={"http_stream": {"enabled": True}}) as hub:
        before = await since(hub)
        commands = json.dumps({"id": 1, "connect": {"token": connection_token()}}).encode()
        async with (
            hub.http.post(f"{hub.url}/connection/http_stream", data=commands, headers=JSON) as stream,
            hub.socket("/ws/notifications/", users["admin"]) as plain,
        ):
            told = await stream.content.readline()
            assert await before.changes("hub_connections", "hub_messages", "hub_bytes", "hub_subs") == {
                ("hub_connections", ("http_stream",)): 1,
                ("hub_connections", ("notifications",)): 1,
                ("hub_subscriptions", ()): 2,
                ("hub_messages_received_total", ("json",)): 1,
                ("hub_bytes_received_total", ("json",)): len(commands),
                ("hub_messages_sent_total", ("json",)): 1,
                ("hub_bytes_sent_total", ("json",)): len(told),
                ("hub_messages_sent_total", ("plain",)): 1,
                ("hub_bytes_sent_total", ("plain",)): 4 + len(orjson.dumps(plain.greeting)),
            }


def described() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Type and labels of each metric in the table."""
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", OPERATING.read_text(), re.MULTILINE)
    return {name: (kind, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, kind, labels in rows}


async def test_every_metric_is_described(here: Settings) -> None:
    assert streams.worker  # its metrics, and those of agents and relay, are in this process too
    await prepare(here)
    async with node(here) as hub:
        text = await exposed(hub)
    shown = dict(re.findall(r"^# TYPE ((?:hub|agent|relay|mails)_\w+) (\w+)$", text, re.MULTILINE))
    shown = {name: kind for name, kind in shown.items() if not name.endswith("_created")}
    table = described()
    assert shown == {name: kind for name, (kind, _) in table.items()}
    for family in text_string_to_metric_families(text):
        name = family.name + "_total" * (family.type == "counter")
        for sample in family.samples:
            if name in table and not sample.name.endswith("_created"):
                assert (name, tuple(sorted(sample.labels.keys() - {"le"}))) == (name, table[name][1])
