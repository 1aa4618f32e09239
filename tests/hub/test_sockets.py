"""The two plain endpoints on a real node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import pytest
import structlog

from actors.session import Session
from hub import rights, tokens
from hub.fold import FOLD
from hub.sessions import SESSIONS
from models import database
from models.access import Audience, Role
from settings import Settings
from tests.hub.nodes import Client, Node, node, outside, prepare


def item(number: int) -> dict[str, Any]:
    return {"type": "activity_created", "activity": {"id": number}}


def protocol(client: Client) -> Any:
    """The client's end of the connection, to make it stop reading."""
    connection: Any = client.socket._conn
    return connection.protocol


def numbers(frames: list[dict[str, Any]]) -> list[int]:
    return [frame["offset"] for frame in frames]


async def test_a_frame_reaches_its_socket(settings: Settings) -> None:
    users = await prepare(settings)
    async with (
        node(settings) as hub,
        outside(settings) as log,
        hub.socket("/ws/activity/", users["admin"]) as client,
    ):
        incarnation, next = hub.fold.log.incarnation, hub.fold.partition("activity").read_from
        assert client.greeting == {
            "type": "connection_established",
            "message": "Following activity.",
            "channel": "activity",
            "epoch": f"{incarnation}-new-{next}",
            "offset": 0,
            "recovered": False,
        }
        await log.frames("activity", [item(1)])
        position = await client.next()
        assert await client.next() == {**item(1), "offset": 1}
        async with hub.socket("/ws/activity", users["viewer"]) as later:
            assert position == {
                "type": "position",
                "channel": "activity",
                "epoch": later.greeting["epoch"],
                "offset": 0,
            }
            assert later.greeting["offset"] == 1


async def test_the_personal_channel_is_ones_own(here: Settings) -> None:
    users = await prepare(here)
    async with (
        node(here) as hub,
        outside(here) as log,
        hub.socket("/ws/notifications/", users["viewer"]) as viewer,
        hub.socket("/ws/notifications/", users["admin"]) as admin,
    ):
        await log.frames(f"#{users['viewer']}", [{"type": "notification", "notification": {"id": "a"}}])
        await log.frames(f"#{users['admin']}", [{"type": "notification", "notification": {"id": "b"}}])
        assert (await viewer.take(1))[0]["notification"] == {"id": "a"}
        assert (await admin.take(1))[0]["notification"] == {"id": "b"}


async def test_a_client_resumes_and_sees_everything_once_in_order(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub, outside(here) as log:
        async with hub.socket("/ws/activity/", users["admin"]) as client:
            place = client.greeting
        # Also from before the channel was made.
        await log.frames("activity", [item(n) for n in range(1, 1001)])
        async with hub.socket("/ws/activity/", users["admin"], since=0, epoch=place["epoch"]) as client:
            assert client.greeting["recovered"] is True
            assert client.greeting["offset"] == 0
            writing = asyncio.create_task(log.frames("activity", [item(n) for n in range(1001, 1501)]))
            frames = await client.take(1500)
            await writing
            assert numbers(frames) == list(range(1, 1501))
            assert [frame["activity"]["id"] for frame in frames] == list(range(1, 1501))
        epoch = client.epoch
        async with hub.socket("/ws/activity/", users["admin"], since=1490, epoch=epoch) as client:
            assert numbers(await client.take(10)) == list(range(1491, 1501))
        async with hub.socket("/ws/activity/", users["admin"], since=1500, epoch=epoch) as client:
            assert client.greeting["recovered"] is True


async def test_a_place_the_channel_does_not_have_is_not_recovered(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub, outside(here) as log:
        await log.frames("activity", [item(1), item(2)])
        async with hub.socket("/ws/activity/", users["admin"], since=0) as client:
            assert numbers(await client.take(2)) == [1, 2]
        for place in ({"since": 1, "epoch": "ffffffff-0"}, {"since": 3}, {"since": 1, "epoch": "x"}):
            async with hub.socket("/ws/activity/", users["admin"], **place) as client:
                assert (client.greeting["recovered"], client.greeting["offset"]) == (False, 2)


async def test_nobody_sees_what_they_may_not_see_live_or_later(here: Settings) -> None:
    users = await prepare(here)
    audience = Audience(roles=frozenset({Role.ADMIN}), users=frozenset({(Role.SALES_REP, users["sales_rep"])})).json()
    async with (
        node(here) as hub,
        outside(here) as log,
        hub.socket("/ws/activity/", users["admin"]) as admin,
        hub.socket("/ws/activity/", users["sales_rep"]) as rep,
        hub.socket("/ws/activity/", users["marketing"]) as marketing,
    ):
        await log.frames("activity", [item(1)])
        await log.frames("activity", [item(2), item(3)], audience=audience)
        await log.frames("activity", [item(4)], audience={"roles": "not an audience"})
        await log.frames("activity", [item(5)])
        assert numbers(await admin.take(4)) == [1, 2, 3, 5]
        assert numbers(await rep.take(4)) == [1, 2, 3, 5]
        assert numbers(await marketing.take(2)) == [1, 5]
        for role, seen in (("admin", [1, 2, 3, 5]), ("sales_rep", [1, 2, 3, 5]), ("marketing", [1, 5])):
            async with hub.socket("/ws/activity/", users[role], since=0) as client:
                assert numbers(await client.take(len(seen))) == seen


async def test_a_mostly_filtered_client_learns_its_position(here: Settings) -> None:
    users = await prepare(here)
    nobody = Audience(roles=frozenset()).json()
    async with (
        node(here) as hub,
        outside(here) as log,
        hub.socket("/ws/activity/", users["admin"]) as client,
    ):
        await log.frames("activity", [item(1)])
        await client.take(1)
        await log.frames("activity", [item(n) for n in range(2, 500)], audience=nobody)
        position = await client.next()
        assert position["type"] == "position"
        assert 100 < position["offset"] < 500


async def test_ping_and_what_makes_no_sense(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub, hub.socket("/ws/activity/", users["admin"]) as client:
        await client.socket.send_json({"type": "ping", "timestamp": 17})
        assert await client.next() == {"type": "pong", "timestamp": 17}
        for garbage in ("{", "[]", '"text"', "{}", '{"type": ["ping"]}', '{"type": "subscribe"}'):
            await client.socket.send_str(garbage)
            assert (await client.next())["type"] == "error"
        await client.socket.send_bytes(b"\x00\xff")
        assert (await client.next())["type"] == "error"
        await client.socket.send_json({"type": "ping"})
        assert await client.next() == {"type": "pong", "timestamp": None}


async def test_garbage_beyond_reason_ends_the_socket(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        async with hub.socket("/ws/activity/", users["admin"]) as client:
            for _ in range(11):
                await client.socket.send_str("garbage")
            assert [(await client.next())["type"] for _ in range(10)] == ["error"] * 10
            with pytest.raises(EOFError):
                await client.next()
            assert client.closed == (3501, "bad request")
        async with hub.socket("/ws/activity/", users["admin"]) as client:
            await client.socket.send_str("x" * (64 * 1024 + 1))
            with pytest.raises(EOFError):
                await client.next()
            assert client.closed is not None
            assert client.closed[0] == 1009


async def test_an_expired_token_ends_the_socket(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        headers = {"Authorization": f"Bearer {hub.token(users['admin'], minutes=1 / 60)}"}
        async with hub.http.ws_connect(hub.url + "/ws/activity/", headers=headers) as socket:
            client = Client(socket=socket, greeting=await socket.receive_json())
            with pytest.raises(EOFError):
                await client.next()
            assert client.closed == (3005, "connection expired")


async def refused(hub: Node, path: str, **headers: str) -> tuple[int, dict[str, object]]:
    """Status and body of a handshake that is not accepted."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **headers,
    }
    async with hub.http.get(hub.url + path, headers=upgrade) as reply:
        return reply.status, await reply.json()


async def test_a_token_may_stand_in_three_places(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        token = hub.token(users["viewer"])
        url = hub.url + "/ws/notifications/"
        async with hub.http.ws_connect(url, params={"token": token}) as socket:
            assert (await socket.receive_json())["channel"] == f"#{users['viewer']}"
        async with hub.http.ws_connect(url, protocols=("bearer", token)) as socket:
            assert socket.protocol == "bearer"
            assert (await socket.receive_json())["channel"] == f"#{users['viewer']}"


async def test_a_handshake_that_is_refused_says_why(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        token = hub.token(users["viewer"])
        stale = hub.token(users["viewer"], minutes=-1)
        refresh = tokens.sign(hub.secret, tokens.claim(tokens.Kind.REFRESH, users["viewer"], 5))
        nobody = hub.token(987_654)
        assert (await refused(hub, "/ws/activity/"))[0] == 401
        for wrong in ("nonsense", stale, refresh, nobody, token[:-2] + "xx"):
            status, body = await refused(hub, f"/ws/activity/?token={wrong}")
            assert (status, body["code"]) == (401, "token_not_valid")
        for query in ("since=x", "since=-1", "since=1e3", "since=" + "9" * 30):
            status, body = await refused(hub, f"/ws/activity/?{query}&token={token}")
            assert (status, list(body)) == (400, ["since"])
        status, body = await refused(hub, "/ws/activity/", **{"Sec-WebSocket-Protocol": f"graphql-ws, {token}"})
        assert (status, list(body)) == (400, ["Sec-WebSocket-Protocol"])
        async with hub.http.get(f"{hub.url}/ws/activity/?token={token}") as reply:
            assert reply.status == 400


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Everything any logger says while a test runs, at its most talkative."""
    said: list[str] = []

    def note(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        said.append(repr(event))
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info, note]
    )
    caplog.set_level(logging.DEBUG)
    yield said
    structlog.configure(**before)
    said.extend(record.getMessage() + (record.exc_text or "") for record in caplog.records)


async def test_a_token_reaches_no_log_line(here: Settings, lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        token = hub.token(users["viewer"])
        stale = hub.token(users["viewer"], minutes=-1)
        for path in ("/ws/notifications/", "/ws/activity/"):
            async with hub.http.ws_connect(hub.url + path, params={"token": token}) as socket:
                await socket.receive_json()
                await socket.send_str("garbage")
                await socket.receive()
            async with hub.http.ws_connect(hub.url + path, protocols=("bearer", token)) as socket:
                await socket.receive_json()
            for protocols in (token, f"{token}, bearer", f"Bearer, {token}", f"bearer, {stale}"):
                await refused(hub, path, **{"Sec-WebSocket-Protocol": protocols})
            for query in (f"token={stale}", f"token={token}&since=x", f"token={token}%00%ff", f"access={token}"):
                await refused(hub, f"{path}?{query}")
        await refused(hub, f"/ws/nothing/?token={token}")
        await refused(hub, "/ws/activity/", Authorization=f"Basic {token}")
    secrets = {part for one in (token, stale) for part in (one, one.split(".")[1], one.split(".")[2])}
    said = lines + [record.getMessage() for record in caplog.records]
    assert any("/ws/activity/" in line for line in said)
    assert not [line for line in said for secret in secrets if secret in line]


async def test_a_slow_client_is_a_cursor_and_catches_up(here: Settings) -> None:
    users = await prepare(here)
    padding = "x" * 8_000
    async with (
        node(here) as hub,
        outside(here) as log,
        hub.socket("/ws/activity/", users["admin"]) as quick,
        hub.socket("/ws/activity/", users["admin"]) as slow,
    ):
        stop = protocol(slow)
        stop.pause_reading()
        total = 2_000
        writing = asyncio.create_task(
            log.frames("activity", [{"type": "activity_created", "n": n, "padding": padding} for n in range(total)])
        )
        assert numbers(await quick.take(total)) == list(range(1, total + 1))
        await writing
        behind = [cursor for s in _sessions(hub) for cursor in s.behind]
        assert len(behind) == 1
        stop.resume_reading()
        assert numbers(await slow.take(total)) == list(range(1, total + 1))
        await log.frames("activity", [item(0)])
        assert numbers(await slow.take(1)) == [total + 1]
        assert not [cursor for s in _sessions(hub) for cursor in s.behind]


def _sessions(hub: Node) -> list[Session]:
    return [session for of in hub.app[SESSIONS]._of.values() for session in of]


async def test_rights_taken_away_reach_open_sockets(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "ROUND", 3600.0)
    users = await prepare(here)
    async with (
        node(here) as hub,
        hub.socket("/ws/activity/", users["admin"]) as admin,
        hub.socket("/ws/activity/", users["sales_rep"]) as rep,
        hub.socket("/ws/activity/", users["viewer"]) as viewer,
        database.pool(here.database_url, size=1) as pool,
    ):
        await pool.execute("UPDATE crm_users SET role = 'viewer' WHERE id = $1", users["sales_rep"])
        await pool.execute("UPDATE crm_users SET is_active = false WHERE id = $1", users["viewer"])
        for client in (rep, viewer):
            with pytest.raises(EOFError):
                await client.next()
        assert rep.closed == (3011, "force reconnect")
        assert viewer.closed == (3503, "force disconnect")
        await admin.socket.send_json({"type": "ping"})
        assert (await admin.next())["type"] == "pong"


async def test_a_node_that_stops_sends_everybody_away(here: Settings) -> None:
    users = await prepare(here)
    async with aiohttp.ClientSession() as http:
        async with node(here) as hub:
            clients = []
            for _ in range(5):
                socket = await http.ws_connect(hub.url + "/ws/activity/", headers=hub.signed(users["admin"]))
                clients.append(Client(socket=socket, greeting=await socket.receive_json()))
        for client in clients:
            with pytest.raises(EOFError):
                await client.next()
            assert client.closed == (3001, "shutdown")


async def test_mark_read(here: Settings) -> None:
    users = await prepare(here)
    mine, other = str(uuid4()), str(uuid4())
    async with (
        node(here) as hub,
        database.pool(here.database_url, size=1) as pool,
        hub.socket("/ws/notifications/", users["viewer"]) as client,
    ):
        await pool.executemany(
            """INSERT INTO notifications (id, event_id, user_id, notification_type, title)
               VALUES ($1, $2, $3, $4, 't')""",
            [(mine, 1, users["viewer"], "system"), (other, 2, users["admin"], "system")],
        )
        for wrong in (other, str(uuid4()), "x", None, 7):
            await client.socket.send_json({"type": "mark_read", "notification_id": wrong})
            assert (await client.next())["type"] == "error"
        for _ in range(2):
            await client.socket.send_json({"type": "mark_read", "notification_id": mine})
        await client.socket.send_json({"type": "ping"})
        assert (await client.next())["type"] == "pong"  # mark_read has no reply
        read = await pool.fetch("SELECT notification_id::text, user_id FROM notification_reads")
        assert [tuple(row) for row in read] == [(mine, users["viewer"])]
        context = await pool.fetchval("SELECT context FROM events WHERE type = 'notification_read.created'")
        assert orjson.loads(context)["actor"] == users["viewer"]


async def test_a_node_that_has_not_caught_up_takes_nobody(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        hub.app[FOLD]._caught_up.clear()
        status, _ = await refused(hub, f"/ws/activity/?token={hub.token(users['admin'])}")
        assert status == 503
