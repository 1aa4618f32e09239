"""Clients that only listen, on each of the three transports, as plain WebSocket and HTTP libraries meet them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.centrifuge.node import NODE
from settings import Settings
from tests.hub.centrifuge.clients import CONFIGURATION, LOBBY, configured, connection_token, raw, two
from tests.hub.nodes import Node, outside, prepare

#: About the protocol, whatever the broker; what nodes do together is tested on both.
pytestmark = pytest.mark.one_broker

KEY = "the key of the backend"

TRANSPORTS = ["uni_websocket", "uni_sse", "uni_http_stream"]

SECTIONS: dict[str, Any] = {
    **{transport: {"enabled": True} for transport in TRANSPORTS},
    "http_api": {"key": KEY},
    "channel": {
        "namespaces": [
            *CONFIGURATION["channel"]["namespaces"],
            LOBBY,
        ]
    },
}

each = pytest.mark.parametrize("transport", TRANSPORTS)


class Listener:
    """A client that has said how it connects."""

    def __init__(self, messages: AsyncIterator[str], socket: aiohttp.ClientWebSocketResponse | None = None) -> None:
        self._messages = messages
        self._socket = socket
        self.pings = 0

    @property
    def closed(self) -> int | None:
        """The close code, if it is on a WebSocket that ended."""
        return None if self._socket is None else self._socket.close_code

    async def hear(self) -> dict[str, Any]:
        """The next push that is no ping. Raises EOFError at the end."""
        async for text in self._messages:
            push: dict[str, Any] = json.loads(text)
            if push:
                return push
            self.pings += 1
        raise EOFError

    async def ending(self) -> dict[str, Any]:
        """Why it ends, said last."""
        said: dict[str, Any] = {}
        with suppress(EOFError):
            while True:
                said = await self.hear()
        found: dict[str, Any] = said["disconnect"]
        return found


async def _frames(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str]:
    async for message in socket:
        assert message.type is aiohttp.WSMsgType.TEXT
        yield message.data


async def _events(reply: aiohttp.ClientResponse) -> AsyncIterator[str]:
    assert reply.content_type == "text/event-stream"
    assert await reply.content.readline() == b"\r\n"
    while line := await reply.content.readline():
        assert line.startswith(b"data: ")
        assert await reply.content.readline() == b"\n"
        yield line.removeprefix(b"data: ").decode()


async def _lines(reply: aiohttp.ClientResponse) -> AsyncIterator[str]:
    while line := await reply.content.readline():
        yield line.decode()


@asynccontextmanager
async def listening(hub: Node, transport: str, **request: Any) -> AsyncIterator[Listener]:
    """A client with this connect request."""
    url, text = f"{hub.url}/connection/{transport}", json.dumps(request)
    async with AsyncExitStack() as stack:
        if transport == "uni_websocket":
            socket = await stack.enter_async_context(hub.http.ws_connect(url))
            await socket.send_str(text)
            yield Listener(_frames(socket), socket)
            return
        if transport == "uni_sse":
            reply = await stack.enter_async_context(hub.http.get(url, params={"cf_connect": text}))
        else:
            reply = await stack.enter_async_context(hub.http.post(url, data=text))
        assert reply.status == 200, await reply.text()
        assert reply.headers["X-Accel-Buffering"] == "no"
        yield Listener(_events(reply) if transport == "uni_sse" else _lines(reply))


@asynccontextmanager
async def serving(
    settings: Settings, tmp_path: Path, *, sections: Mapping[str, Any] | None = None, **client: Any
) -> AsyncIterator[Node]:
    async with configured(settings, tmp_path, sections={**SECTIONS, **(sections or {})}, **client) as hub:
        yield hub


async def order(hub: Node, method: str, **fields: Any) -> None:
    """A command of the server API."""
    async with hub.http.post(f"{hub.url}/api/{method}", json=fields, headers={"X-API-Key": KEY}) as reply:
        assert await reply.json() == {"result": {}}


@each
async def test_a_client_is_told_what_it_was_subscribed_to_and_what_is_published_there(
    settings: Settings, tmp_path: Path, transport: str
) -> None:
    users = await prepare(settings)
    token = connection_token(subs={"chat:1": {"data": {"hello": 1}}})
    async with serving(settings, tmp_path) as hub, listening(hub, transport, token=token) as client:
        connect = (await client.hear())["connect"]
        subs = connect.pop("subs")
        assert set(subs) == {"chat:1", "own:#u1"}
        assert subs["chat:1"]["data"] == {"hello": 1}
        assert subs["own:#u1"]["recoverable"]
        assert set(connect) == {"client", "version", "ping", "expires", "ttl", "session"}
        assert (connect["ping"], connect["expires"]) == (25, True)
        for n in (1, 2):
            await hub.publish(users["admin"], "chat:1", {"n": n})
        assert await client.hear() == {"channel": "chat:1", "pub": {"data": {"n": 1}, "offset": 1}}
        assert await client.hear() == {"channel": "chat:1", "pub": {"data": {"n": 2}, "offset": 2}}
        await hub.publish(users["admin"], "own:#u1", "yours")
        assert await client.hear() == {"channel": "own:#u1", "pub": {"data": "yours", "offset": 1}}
        async with hub.http.get(f"{hub.url}/metrics") as reply:
            assert f'hub_connections{{transport="{transport}"}} 1.0' in await reply.text()


@each
async def test_one_that_comes_back_is_sent_what_it_missed_once_and_in_order(
    settings: Settings, tmp_path: Path, transport: str
) -> None:
    users = await prepare(settings)
    token = connection_token(subs={"chat:1": {}})
    async with serving(settings, tmp_path) as hub:
        async with listening(hub, transport, token=token) as client:
            epoch = (await client.hear())["connect"]["subs"]["chat:1"]["epoch"]
            await hub.publish(users["admin"], "chat:1", 1)
            assert (await client.hear())["pub"]["offset"] == 1
        for n in (2, 3):
            await hub.publish(users["admin"], "chat:1", n)
        left = {"chat:1": {"recover": True, "epoch": epoch, "offset": 1}}
        async with listening(hub, transport, token=token, subs=left) as client:
            await hub.publish(users["admin"], "chat:1", 4)
            chat = (await client.hear())["connect"]["subs"]["chat:1"]
            assert (chat["recovered"], chat["was_recovering"]) == (True, True)
            seen = [(one["offset"], one["data"]) for one in chat["publications"]]
            while len(seen) < 3:
                one = (await client.hear())["pub"]
                seen.append((one["offset"], one["data"]))
            assert seen == [(2, 2), (3, 3), (4, 4)]
        async with listening(hub, transport, token=token, subs={"chat:1": {"recover": True, "epoch": "?"}}) as client:
            chat = (await client.hear())["connect"]["subs"]["chat:1"]
            assert "recovered" not in chat
            assert (chat["offset"], chat["was_recovering"]) == (4, True)


async def test_a_client_may_ask_for_channels_and_gets_those_it_could_have_by_itself(
    settings: Settings, tmp_path: Path
) -> None:
    users = await prepare(settings)
    rep = users["sales_rep"]
    mine, others = f"#{rep}", f"#{users['admin']}"
    asked: dict[str, Any] = {
        name: {} for name in ("activity", mine, others, "lead:1", "chat:1", "closed:1", "room:#u1")
    }
    async with (
        serving(settings, tmp_path) as hub,
        listening(hub, "uni_sse", token=hub.token(rep), subs=asked) as client,
        outside(settings) as log,
    ):
        subs = (await client.hear())["connect"]["subs"]
        assert set(subs) == {"activity", mine, "chat:1", f"own:#{rep}"}
        await log.frames("activity", [{"n": 1}], audience={"roles": ["admin"]})
        await log.frames("activity", [{"n": 2}], audience={"roles": ["sales_rep"]})
        assert await client.hear() == {"channel": "activity", "pub": {"data": {"n": 2}, "offset": 2}}
        await log.frames("activity", [{"n": 3}], audience={"roles": ["admin"]})
        left = {"activity": {"recover": True, "epoch": subs["activity"]["epoch"], "offset": 0}}
        async with listening(hub, "uni_http_stream", token=hub.token(rep), subs=left) as again:
            back = (await again.hear())["connect"]["subs"]["activity"]
            assert back["recovered"]
            assert [one["data"] for one in back["publications"]] == [{"n": 2}]


@each
async def test_orders_of_the_server_api_reach_it_from_another_node(
    settings: Settings, tmp_path: Path, transport: str
) -> None:
    users = await prepare(settings)
    async with (
        two(settings, tmp_path, sections=SECTIONS) as (one, other),
        listening(other, transport, token=connection_token(channels=["chat:1"])) as client,
    ):
        connect = (await client.hear())["connect"]
        await order(one, "subscribe", user="u1", channel="chat:2", client=connect["client"], data={"a": 1})
        subscribe = await client.hear()
        assert subscribe["channel"] == "chat:2"
        assert subscribe["subscribe"]["recoverable"]
        assert subscribe["subscribe"]["data"] == {"a": 1}
        await one.publish(users["admin"], "chat:2", 1)
        assert await client.hear() == {"channel": "chat:2", "pub": {"data": 1, "offset": 1}}
        await order(one, "unsubscribe", user="u1", channel="chat:1")
        assert await client.hear() == {
            "channel": "chat:1",
            "unsubscribe": {"code": 2000, "reason": "server unsubscribe"},
        }
        await order(one, "refresh", user="u1", expire_at=4_000_000_000)
        refresh = (await client.hear())["refresh"]
        assert refresh["expires"]
        assert refresh["ttl"] > 1_000_000_000
        await order(one, "disconnect", user="u1", session=connect["session"])
        assert await client.ending() == {"code": 3503, "reason": "force disconnect"}
        assert client.closed == (3503 if transport == "uni_websocket" else None)


async def test_others_see_it_come_and_go(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with serving(settings, tmp_path) as hub, raw(hub) as other:
        await other.connected(connection_token("u2"))
        await other.ask(2, subscribe={"channel": "lobby:1"})
        await other.hear()  # its own join
        async with listening(hub, "uni_websocket", token=connection_token(), subs={"lobby:1": {}}) as client:
            me = (await client.hear())["connect"]["client"]
            info = {"user": "u1", "client": me}
            assert await client.hear() == {"channel": "lobby:1", "join": {"info": info}}
            assert (await other.hear())["push"] == {"channel": "lobby:1", "join": {"info": info}}
        assert (await other.hear())["push"] == {"channel": "lobby:1", "leave": {"info": info}}


REFUSED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"token": connection_token(life=-60)}, {"code": 3005, "reason": "connection expired"}),
    ({"token": connection_token(key="another key of at least 32 bytes")}, {"code": 3500, "reason": "invalid token"}),
    ({}, {"code": 3501, "reason": "bad request"}),
    ({"token": connection_token(), "subs": {"nowhere:1": {}}}, {"code": 3501, "reason": "bad request"}),
    ({"token": connection_token(channels=["lead:1"])}, {"code": 3507, "reason": "permission denied"}),
    ({"token": connection_token(channels=["nowhere:1"])}, {"code": 3004, "reason": "internal server error"}),
    ({"token": connection_token(channels=list("abcdefghi"))}, {"code": 3505, "reason": "channel limit"}),
]


@each
async def test_who_is_refused_is_told_by_the_close(settings: Settings, tmp_path: Path, transport: str) -> None:
    await prepare(settings)
    async with serving(settings, tmp_path, user_connection_limit=1) as hub:
        for request, close in REFUSED:
            async with listening(hub, transport, **request) as client:
                assert await client.hear() == {"disconnect": close}
                with pytest.raises(EOFError):
                    await client.hear()
                assert client.closed == (close["code"] if transport == "uni_websocket" else None)
        async with listening(hub, transport, token=connection_token()) as first:
            await first.hear()
            async with listening(hub, transport, token=connection_token()) as second:
                assert await second.ending() == {"code": 3504, "reason": "connection limit"}
        assert len(hub.app[NODE].sessions_by_id) == 0


async def test_what_is_no_connect_request_is_a_bad_request(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    sections = {"uni_websocket": {"enabled": True, "message_size_limit": 1000}}
    async with serving(settings, tmp_path, sections=sections, allow_anonymous_connect_without_token=True) as hub:
        base = f"{hub.url}/connection"

        async def status(method: str, transport: str, given: str) -> int:
            ask = {"params": {"cf_connect": given}} if method == "GET" else {"data": given.encode()}
            async with hub.http.request(method, f"{base}/{transport}", **ask) as reply:
                return reply.status

        for given in ("[]", "{", "7", '{"token":1}', '{"subs":{"chat:1":null}}'):
            assert await status("GET", "uni_sse", given) == 400
            assert await status("GET", "uni_websocket", given) == 400
            assert await status("POST", "uni_sse", given) == 400
            assert await status("POST", "uni_http_stream", given) == 400
            async with hub.http.ws_connect(f"{base}/uni_websocket") as socket:
                await socket.send_str(given)
                assert (await socket.receive_json())["disconnect"] == {"code": 3501, "reason": "bad request"}
                assert (await socket.receive()).data == 3501
        for given in ("null", "{}", ' {"newer": 1}\n'):
            assert await status("GET", "uni_sse", given) == 200
            assert await status("POST", "uni_http_stream", given) == 200
        assert await status("GET", "uni_sse", "") == 200
        assert await status("POST", "uni_http_stream", "") == 400
        assert await status("POST", "uni_http_stream", "x" * 70_000) == 413
        assert await status("POST", "uni_sse", "x" * 70_000) == 413
        assert await status("GET", "uni_http_stream", "{}") == 405
        async with hub.http.ws_connect(f"{base}/uni_websocket") as socket:
            await socket.send_str("x" * 1001)
            assert (await socket.receive()).data == 1009


async def test_what_a_connected_client_says_is_ignored(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    sections = {"uni_websocket": {"enabled": True, "disable_disconnect_push": True}}
    request = json.dumps({"token": connection_token(channels=["chat:1"])})
    async with serving(settings, tmp_path, sections=sections) as hub:
        url, params = f"{hub.url}/connection/uni_websocket", {"cf_connect": request}
        async with hub.http.ws_connect(url, params=params) as socket:
            connect = (await socket.receive_json())["connect"]
            for said in ('{"id":1,"subscribe":{"channel":"chat:2"}}', request, "{}", "nonsense", ""):
                await socket.send_str(said)
            await socket.send_bytes(b"\x00")
            beside = {"session": connect["session"], "node": hub.app[NODE].uid, "data": '{"id":2,"ping":{}}'}
            async with hub.http.post(f"{hub.url}/emulation", json=beside) as reply:
                assert reply.status == 404
            for n in (1, 2):
                await hub.publish(users["admin"], f"chat:{n}", n)
            await hub.publish(users["admin"], "chat:1", 3)
            assert (await socket.receive_json())["pub"] == {"data": 1, "offset": 1}
            assert (await socket.receive_json())["pub"] == {"data": 3, "offset": 2}
            await order(hub, "disconnect", user="u1", disconnect={"code": 4000, "reason": "away"})
            closing = await socket.receive()
            assert (closing.data, closing.extra) == (4000, "away")


@each
async def test_pings_want_no_answer(settings: Settings, tmp_path: Path, transport: str) -> None:
    users = await prepare(settings)
    async with (
        serving(settings, tmp_path, ping_interval="200ms", pong_timeout="100ms") as hub,
        listening(hub, transport, token=connection_token(channels=["chat:1"])) as client,
    ):
        assert "pong" not in (await client.hear())["connect"]
        n = 0
        while client.pings < 3:
            n += 1
            # A WebSocket answers its own pings only while it is read.
            _, push = await asyncio.gather(hub.publish(users["admin"], "chat:1", n), client.hear())
            assert push["pub"]["offset"] == n


async def test_a_slow_one_is_sent_the_rest_from_history(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    token = connection_token(channels=["chat:1"])
    async with serving(settings, tmp_path) as hub, listening(hub, "uni_websocket", token=token) as client:
        await client.hear()
        (one,) = hub.app[NODE].clients
        sent = 0
        while not one.session.behind or sent % 5:  # beyond what the sockets' buffers hold
            sent += 1
            await hub.publish(users["admin"], "chat:1", "x" * 400_000)
        assert [(await client.hear())["pub"]["offset"] for _ in range(sent)] == list(range(1, sent + 1))


async def test_who_says_nothing_or_whose_token_ends_is_closed(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with serving(settings, tmp_path, stale_close_delay="50ms", expired_close_delay="50ms") as hub:
        async with hub.http.ws_connect(f"{hub.url}/connection/uni_websocket") as socket:
            assert (await socket.receive_json())["disconnect"] == {"code": 3502, "reason": "stale"}
            assert (await socket.receive()).data == 3502
        async with listening(hub, "uni_sse", token=connection_token(life=1)) as client:
            assert await client.ending() == {"code": 3005, "reason": "connection expired"}


@each
async def test_a_node_that_stops_sends_its_listeners_away(settings: Settings, tmp_path: Path, transport: str) -> None:
    await prepare(settings)
    async with AsyncExitStack() as outlasting:
        http = await outlasting.enter_async_context(aiohttp.ClientSession())
        async with serving(settings, tmp_path) as hub:
            listener = listening(replace(hub, http=http), transport, token=connection_token())
            client = await outlasting.enter_async_context(listener)
            assert "connect" in await client.hear()
            ending = asyncio.create_task(client.ending())
        assert await ending == {"code": 3001, "reason": "shutdown"}


@each
async def test_a_transport_is_there_only_where_it_is_configured_and_only_for_allowed_origins(
    settings: Settings, tmp_path: Path, transport: str
) -> None:
    await prepare(settings)
    method = "POST" if transport == "uni_http_stream" else "GET"
    async with configured(settings, tmp_path) as hub:
        async with hub.http.request(method, f"{hub.url}/connection/{transport}", data=b"{}") as reply:
            assert reply.status == 404
    async with serving(settings, tmp_path) as hub:
        url = f"{hub.url}/connection/{transport}"
        good, evil = {"Origin": "https://app.example.com"}, {"Origin": "https://evil.example.com"}
        async with hub.http.request(method, url, data=b"{}", headers=evil) as reply:
            assert reply.status == 403
        if transport == "uni_websocket":
            async with hub.http.ws_connect(url, headers=good):
                return
        async with hub.http.request(method, url, data=b"{}", headers=good) as reply:
            assert reply.status == 200
            assert reply.headers["Access-Control-Allow-Origin"] == good["Origin"]
        for headers, status in ((good, 204), (evil, 403)):
            async with hub.http.options(url, headers=headers) as reply:
                assert reply.status == status
