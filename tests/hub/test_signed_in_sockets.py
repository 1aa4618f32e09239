"""Sockets and sign-ins: which tokens open one, and what closes it again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest

from hub import rights, tokens
from hub.tokens import Kind
from models import passwords
from settings import Settings
from tests.hub.accounts import LOGIN, LOGOUT, PASSWORD, REFRESH, USERS, code
from tests.hub.centrifuge.clients import Raw, raw
from tests.hub.nodes import Client, Node, node, prepare

pytestmark = [pytest.mark.one_broker, pytest.mark.usefixtures("still")]


@pytest.fixture
async def people(here: Settings) -> dict[str, int]:
    """Users with PASSWORD, whose names are their roles; ids by role."""
    users = await prepare(here)
    connection = await asyncpg.connect(here.database_url)
    await connection.execute("UPDATE crm_users SET password = $1", await passwords.hash(PASSWORD))
    await connection.close()
    return users


async def post(hub: Node, path: str, body: Any, token: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with hub.http.post(hub.url + path, json=body, headers=headers) as reply:
        return reply.status, await reply.json()


async def sign_in(hub: Node, name: str) -> dict[str, Any]:
    status, pair = await post(hub, LOGIN, {"username": name, "password": PASSWORD})
    assert status == 200, pair
    found: dict[str, Any] = pair
    return found


@asynccontextmanager
async def plain(hub: Node, token: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"}
    async with hub.http.ws_connect(f"{hub.url}/ws/activity/", headers=headers) as socket:
        yield Client(socket=socket, greeting=await socket.receive_json(timeout=10))


@asynccontextmanager
async def centrifuge(hub: Node, token: str) -> AsyncIterator[Raw]:
    async with raw(hub) as client:
        await client.connected(token)
        assert "subscribe" in await client.ask(2, subscribe={"channel": "activity"})
        yield client


async def lives(client: Client) -> bool:
    await client.socket.send_json({"type": "ping"})
    return bool((await client.next())["type"] == "pong")


async def test_signing_out_closes_the_sockets_of_that_sign_in_alone(
    here: Settings, people: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "ROUND", 3600.0)
    async with node(here) as hub:
        leaves, stays = await sign_in(hub, "viewer"), await sign_in(hub, "viewer")
        async with (
            plain(hub, leaves["access"]) as plain_out,
            centrifuge(hub, leaves["access"]) as centrifuge_out,
            plain(hub, stays["access"]) as plain_in,
            centrifuge(hub, stays["access"]) as centrifuge_in,
        ):
            assert (await post(hub, LOGOUT, {"refresh": leaves["refresh"]}))[0] == 200
            with pytest.raises(EOFError):
                await plain_out.next()
            assert plain_out.closed == (3011, "force reconnect")
            assert await centrifuge_out.closed() == 3011
            assert await lives(plain_in)
            assert "presence" not in await centrifuge_in.ask(3, ping={})
        async with raw(hub) as client:
            await client.say({"id": 1, "connect": {"token": leaves["access"]}})
            assert await client.closed() == 3500, "it comes back in vain"


async def test_a_client_that_refreshed_to_another_sign_in_stays(here: Settings, people: dict[str, int]) -> None:
    async with node(here) as hub:
        first, second = await sign_in(hub, "viewer"), await sign_in(hub, "viewer")
        async with centrifuge(hub, first["access"]) as client, plain(hub, first["access"]) as other:
            assert "refresh" in await client.ask(3, refresh={"token": second["access"]})
            await post(hub, LOGOUT, {"refresh": first["refresh"]})
            with pytest.raises(EOFError):
                await other.next()
            assert "error" not in await client.ask(4, ping={})


async def test_a_new_password_and_a_stolen_token_close_sockets(here: Settings, people: dict[str, int]) -> None:
    async with node(here) as hub:
        here_, there = await sign_in(hub, "manager"), await sign_in(hub, "manager")
        async with plain(hub, here_["access"]) as stays, plain(hub, there["access"]) as goes:
            body = {"old_password": PASSWORD, "new_password": "something else entirely"}
            assert (await post(hub, f"{USERS}change_password/", body, here_["access"]))[0] == 200
            with pytest.raises(EOFError):
                await goes.next()
            assert await lives(stays)
            first = here_["refresh"]
            for _ in range(2):
                _, here_ = await post(hub, REFRESH, {"refresh": here_["refresh"]})
            assert (await post(hub, REFRESH, {"refresh": first}))[0] == 401
            with pytest.raises(EOFError):
                await stays.next()


async def test_only_access_tokens_open_sockets(here: Settings, people: dict[str, int]) -> None:
    async with node(here) as hub:
        pair = await sign_in(hub, "admin")
        _, made = await post(hub, f"{USERS}setup_2fa/", {}, pair["access"])
        assert (await post(hub, f"{USERS}verify_2fa/", {"token": code(made["secret"])}, pair["access"]))[0] == 200
        temp = (await sign_in(hub, "admin"))["temp_token"]
        loose = tokens.sign(hub.secret, tokens.claim(Kind.SECOND_STEP, people["admin"], 5))
        for bad in (pair["refresh"], temp, loose):
            for path in ("/ws/activity/", "/ws/notifications/"):
                for options in (
                    {"headers": {"Authorization": f"Bearer {bad}"}},
                    {"params": {"token": bad}},
                    {"protocols": ("bearer", bad)},
                ):
                    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                        await hub.http.ws_connect(hub.url + path, **options)
                    assert refused.value.status == 401
            async with raw(hub) as client:
                await client.say({"id": 1, "connect": {"token": bad}})
                assert await client.closed() == 3500
            async with hub.http.get(
                f"{hub.url}/connection/uni_sse", params={"cf_connect": json.dumps({"token": bad})}
            ) as reply:
                assert b'"code":3500' in await reply.read()
        async with asyncio.timeout(10), plain(hub, pair["access"]) as client:
            assert await lives(client)
