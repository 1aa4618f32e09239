"""What the server API has done to clients: on the node they are connected to."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
import pytest

from hub.centrifuge import orders
from hub.centrifuge.node import NODE
from settings import Settings
from tests.hub.centrifuge.clients import configured, connection_token, raw
from tests.hub.nodes import prepare

#: About the protocol, whatever the broker; what nodes do together is tested on both.
pytestmark = pytest.mark.one_broker


async def test_a_client_is_subscribed_and_unsubscribed(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as client, raw(hub) as other:
        await client.connected(connection_token("u1"))
        await other.connected(connection_token("u2"))
        here = hub.app[NODE]
        await orders.subscribe(here, {"user": "u1", "channel": "chat:1", "data": {"by": "server"}})
        pushed = (await client.hear())["push"]
        assert pushed["channel"] == "chat:1"
        assert pushed["subscribe"]["data"] == {"by": "server"}
        assert pushed["subscribe"]["recoverable"]
        await hub.publish(users["admin"], "chat:1", 1)
        assert (await client.hear())["push"]["pub"]["data"] == 1
        await orders.unsubscribe(here, {"user": "u1", "channel": "chat:1"})
        assert (await client.hear())["push"]["unsubscribe"] == {"code": 2000, "reason": "server unsubscribe"}
        await orders.unsubscribe(here, {"user": "u1"})
        assert (await client.hear())["push"]["channel"] == "own:#u1"
        await hub.publish(users["admin"], "chat:1", 2)
        await orders.disconnect(here, {"user": "u2"})
        assert await other.closed() == 3503
        await orders.subscribe(here, {"user": "u1", "channel": "nowhere:1"})
        assert await client.ask(9, ping={}) == {"id": 9, "ping": {}}


async def test_some_connections_of_a_user_are_closed(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as first, raw(hub) as second, raw(hub) as third:
        ids = [(await one.connected(connection_token("u1")))["client"] for one in (first, second, third)]
        here = hub.app[NODE]
        await orders.disconnect(here, {"user": "u2", "client": ids[0]})
        await orders.disconnect(here, {"user": "u1", "client": ids[0], "disconnect": {"code": 4001, "reason": "bye"}})
        assert await first.closed() == 4001
        await orders.disconnect(here, {"user": "u1", "whitelist": [ids[2]]})
        assert await second.closed() == 3503
        assert await third.ask(2, ping={}) == {"id": 2, "ping": {}}
        assert [client.id for client in here.clients if not client.session.closed] == [ids[2]]


async def test_a_connection_is_refreshed_and_ended_by_the_server(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        await client.connected(connection_token("u1"))
        here = hub.app[NODE]
        await orders.refresh(here, {"user": "u1", "expire_at": int(time.time()) + 100})
        told = (await client.hear())["push"]["refresh"]
        assert told["expires"]
        assert 98 <= told["ttl"] <= 100
        await orders.refresh(here, {"user": "u1", "expired": True})
        assert await client.closed() == 3005


async def test_a_node_that_stops_tells_its_clients_to_come_back(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with aiohttp.ClientSession() as http:
        async with configured(settings, tmp_path) as hub:
            socket = await http.ws_connect(f"{hub.url}/connection/websocket")
            await socket.send_json({"id": 1, "connect": {"token": connection_token()}})
            await socket.receive_json()
        message = await socket.receive(timeout=10)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 3001)
