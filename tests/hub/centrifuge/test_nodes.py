"""Clients on two nodes: who is present, who joins and leaves, commands that arrive at the other node, orders to all."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hub.centrifuge import codes
from hub.centrifuge.node import NODE
from settings import Settings
from tests.hub.centrifuge.clients import CONFIGURATION, LOBBY, Raw, connection_token, raw, two
from tests.hub.centrifuge.test_streams import STREAMS, streaming
from tests.hub.nodes import prepare

SECTIONS: dict[str, Any] = {
    **STREAMS,
    "channel": {
        "namespaces": [
            *CONFIGURATION["channel"]["namespaces"],
            LOBBY,
        ]
    },
}


async def until(client: Raw, kind: str) -> dict[str, Any]:
    """The next push of that kind."""
    while True:
        push = (await client.hear()).get("push", {})
        if kind in push:
            found: dict[str, Any] = push[kind]
            return found


async def answer(client: Raw, id: int, **command: Any) -> dict[str, Any]:
    """The answer to a command, whatever is pushed before it."""
    await client.say({"id": id, **command})
    while (said := await client.hear()).get("id") != id:
        pass
    return said


async def test_who_is_there_is_known_on_both_nodes(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with two(settings, tmp_path, sections=SECTIONS) as (one, other), raw(one) as first:
        info = {"name": "Ann"}
        await first.connected(connection_token("u1", info=info))
        await first.ask(2, subscribe={"channel": "lobby:1"})
        assert (await until(first, "join"))["info"]["user"] == "u1"
        async with raw(other) as second:
            mine = await second.connected(connection_token("u2"))
            await second.ask(2, subscribe={"channel": "lobby:1"})
            await until(second, "join")
            joined = (await until(first, "join"))["info"]
            assert (joined["user"], joined["client"]) == ("u2", mine["client"])
            there: dict[str, Any] = {}
            while len(there) < 2:  # what nodes tell each other takes its time both ways
                there = (await answer(second, 3, presence={"channel": "lobby:1"}))["presence"]["presence"]
            assert {one["user"]: one.get("conn_info") for one in there.values()} == {"u1": info, "u2": None}
            stats = (await answer(first, 3, presence_stats={"channel": "lobby:1"}))["presence_stats"]
            assert stats == {"num_clients": 2, "num_users": 2}
            refused = await answer(second, 4, presence={"channel": "lobby:2"})
            assert refused["error"]["code"] == 103
        assert (await until(first, "leave"))["info"]["user"] == "u2"
        stats = (await answer(first, 5, presence_stats={"channel": "lobby:1"}))["presence_stats"]
        assert stats == {"num_clients": 1, "num_users": 1}


async def test_commands_find_their_stream_from_any_node(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    connect = {"id": 1, "connect": {"token": connection_token()}}
    async with (
        two(settings, tmp_path, sections=SECTIONS) as (one, other),
        streaming(one, "http_stream", connect) as client,
    ):
        client.connect = (await client.hear())["connect"]
        client.hub = other
        for n in range(2, 12):
            assert await client.say({"id": n, "ping": {}}) == 204
        assert [(await client.hear())["id"] for _ in range(2, 12)] == list(range(2, 12))
        assert await client.say({"id": 12, "ping": {}}, session="unknown") == 404


async def test_an_order_reaches_the_clients_of_all_nodes(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with two(settings, tmp_path, sections=SECTIONS) as (one, other), raw(one) as first, raw(other) as second:
        for client in (first, second):
            await client.connected(connection_token("u1"))
            await client.ask(2, subscribe={"channel": "chat:1"})
        node = one.app[NODE]
        found = await node.control.survey("channels", {"pattern": "chat:*"})
        assert sorted(found.values(), key=str) == [{"chat:1": 1}, {"chat:1": 1}]
        await node.control.order("unsubscribe", {"user": "u1", "channel": "chat:1"})
        for client in (first, second):
            assert (await until(client, "unsubscribe"))["code"] == 2000
        await node.control.order("disconnect", {"user": "u1"})
        assert [await client.closed() for client in (first, second)] == [3503, 3503]


async def test_of_a_user_s_connections_the_newest_stays_wherever_it_is(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    only = {"subscribe_to_user_personal_channel": {"enabled": True, "single_connection": True}}
    async with (
        two(settings, tmp_path, sections=SECTIONS, **only) as (one, other),
        AsyncExitStack() as stack,
        asyncio.timeout(30),
    ):
        bystander, last, *clients = [
            await stack.enter_async_context(raw(hub)) for hub in (one, other, one, other, one, other, one)
        ]
        await bystander.connected(connection_token("u2"))
        await asyncio.gather(*(client.say({"id": 1, "connect": {"token": connection_token()}}) for client in clients))
        open = {asyncio.create_task(client.closed()) for client in clients}
        while len(open) > 1:
            closed, open = await asyncio.wait(open, return_when=asyncio.FIRST_COMPLETED)
            assert {end.result() for end in closed} == {codes.CONNECTION_LIMIT.code}
        while len(one.app[NODE].clients) + len(other.app[NODE].clients) > 2:
            await asyncio.sleep(0.01)
        assert len(open) == 1
        await last.connected(connection_token())
        assert await open.pop() == codes.CONNECTION_LIMIT.code
        for client in (bystander, last):
            assert (await client.ask(2, ping={}))["id"] == 2


async def test_operators_list_channels_and_users_over_all_nodes(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    sections = {**SECTIONS, "http_api": {"key": "secret"}}
    async with two(settings, tmp_path, sections=sections) as (one, other), AsyncExitStack() as stack:
        for hub, user in ((one, "u1"), (other, "u1"), (other, "u2")):
            client = await stack.enter_async_context(raw(hub))
            await client.connected(connection_token(user))
            await client.ask(2, subscribe={"channel": "chat:1"})

        async def listed(what: str, pattern: str = "") -> dict[str, int]:
            key = {"X-API-Key": "secret"}
            async with one.http.post(f"{one.url}/api/{what}", json={"pattern": pattern}, headers=key) as reply:
                found = (await reply.json())["result"][what]
                return {name: count["num_clients"] for name, count in found.items()}

        assert await listed("users") == {"u1": 2, "u2": 1}
        assert await listed("users", "*2") == {"u2": 1}
        assert await listed("channels", "chat:*") == {"chat:1": 3}
