"""The WebSocket endpoint as official and hand-made clients meet it, on a real node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.centrifuge import lifetime
from settings import Settings
from tests.hub.centrifuge.clients import Told, configured, connection_token, official, raw
from tests.hub.nodes import node, outside, prepare

#: About the protocol, whatever the broker; what nodes do together is tested on both.
pytestmark = pytest.mark.one_broker


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is refused is not given long to go."""
    monkeypatch.setattr(lifetime, "REFUSED_GRACE", 0.05)


@pytest.mark.parametrize("protobuf", [False, True], ids=["json", "protobuf"])
async def test_an_official_client_listens_publishes_and_recovers(
    settings: Settings, tmp_path: Path, protobuf: bool
) -> None:
    await prepare(settings)

    def packed(value: Any) -> Any:
        return json.dumps(value).encode() if protobuf else value

    async with configured(settings, tmp_path) as hub, official(hub, connection_token(), protobuf=protobuf) as client:
        told = Told()
        subscription = client.new_subscription("chat:1", events=told)
        await subscription.subscribe()
        await subscription.ready()
        for n in (1, 2):
            await subscription.publish(packed({"n": n}))
        await told.until(lambda: len(told.publications) == 2)
        await client.disconnect()
        async with official(hub, connection_token("u2"), protobuf=protobuf) as other:
            there = other.new_subscription("chat:1", events=Told())
            await there.subscribe()
            await there.ready()
            await there.publish(packed({"n": 3}))
        await client.connect()
        await told.until(lambda: len(told.publications) == 3)
        assert [offset for offset, _ in told.publications] == [1, 2, 3]
        assert [json.loads(d)["n"] if protobuf else d["n"] for _, d in told.publications] == [1, 2, 3]
        assert [context.recovered for context in told.subscribed] == [False, True]


async def test_connect_and_subscribe_in_one_frame_are_done_in_order(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        await client.say(
            {"id": 1, "connect": {"token": connection_token()}},
            {"id": 2, "subscribe": {"channel": "chat:1"}},
            {"id": 3, "publish": {"channel": "chat:1", "data": {"a": [1, None]}}},
        )
        connect = (await client.hear())["connect"]
        assert connect["ping"] == 25
        assert connect["pong"]
        assert connect["subs"]["own:#u1"]["recoverable"]
        subscribed = await client.hear()
        assert (subscribed["id"], subscribed["subscribe"]["recoverable"]) == (2, True)
        both = [await client.hear(), await client.hear()]
        assert {"id": 3, "publish": {}} in both
        (push,) = [one["push"] for one in both if "push" in one]
        assert (push["channel"], push["pub"]["data"], push["pub"]["offset"]) == ("chat:1", {"a": [1, None]}, 1)


REFUSALS: list[tuple[dict[str, Any], int]] = [
    ({"subscribe": {"channel": "nowhere:1"}}, 102),
    ({"subscribe": {"channel": ""}}, 107),
    ({"subscribe": {"channel": "chat:\u00e9"}}, 107),
    ({"subscribe": {"channel": "chat:" + "x" * 255}}, 107),
    ({"subscribe": {"channel": "closed:1"}}, 103),
    ({"subscribe": {"channel": "plain"}}, 103),
    ({"subscribe": {"channel": "$chat:1"}}, 103),
    ({"subscribe": {"channel": "chat:1", "token": "x.y.z"}}, 103),
    ({"subscribe": {"channel": "chat:1", "token": "expired"}}, 109),
    ({"subscribe": {"channel": "room:1#u2,u3"}}, 103),
    ({"subscribe": {"channel": "#u1"}}, 103),
    ({"subscribe": {"channel": "#1"}}, 103),
    ({"subscribe": {"channel": "activity"}}, 103),
    ({"subscribe": {"channel": "lead:1"}}, 103),
    ({"subscribe": {"channel": "own:#u1"}}, 105),
    ({"publish": {"channel": "chat:2", "data": {}}}, 103),
    ({"publish": {"channel": "lead:2", "data": {}}}, 103),
    ({"history": {"channel": "chat:2"}}, 103),
    ({"history": {"channel": "closed:2"}}, 108),
    ({"presence": {"channel": "chat:2"}}, 108),
    ({"presence_stats": {"channel": "chat:2"}}, 108),
    ({"rpc": {"method": "nothing"}}, 104),
    ({"rpc": {"method": "timeline"}}, 103),
    ({"sub_refresh": {"channel": "chat:2", "token": "x"}}, 107),
]


async def test_what_may_not_be_is_refused_with_its_code_and_the_connection_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    await prepare(settings)
    expired = connection_token("u1", life=-10, channel="chat:1")
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        await client.connected(connection_token("u1"))
        for id, (command, code) in enumerate(REFUSALS, 2):
            if command.get("subscribe", {}).get("token") == "expired":
                command["subscribe"]["token"] = expired
            reply = await client.ask(id, **command)
            assert (reply["id"], reply["error"]["code"]) == (id, code), command
        assert "subscribe" in await client.ask(90, subscribe={"channel": "room:1#u1,u2"})
        for n in range(6):
            assert "subscribe" in await client.ask(91, subscribe={"channel": f"chat:{n}"})
        assert (await client.ask(92, subscribe={"channel": "chat:9"}))["error"]["code"] == 106


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (["garbage"], 3501),
        ([""], 3501),
        (['{"id":1,"subscribe":{"channel":"chat:1"}}'], 3501),
        (["{}"], 3501),
        (['{"id":1,"connect":{"token":"%s"}}', '{"id":2,"connect":{}}'], 3501),
        (['{"id":1,"connect":{"token":"%s"}}', "{}"], 3501),
        (['{"id":1,"connect":{"token":"%s"}}', '{"id":2,"whatever":{}}'], 3501),
        (['{"id":1,"connect":{"token":"a.b.c"}}'], 3500),
        (['{"id":1,"connect":{"token":"%s"}}', '{"id":2,"subscribe":{"channel":"chat:1","token":"%t"}}'], 3500),
        (['{"id":1,"connect":{"token":"%s"}}', '{"id":2,"refresh":{"token":"%o"}}'], 3500),
        (['{"id":1,"connect":{"token":"%s"}}', '{"id":2,"refresh":{"token":"%e"}}'], 3005),
        (['{"id":1,"connect":{}}'], 3000),
        (['{"id":1,"connect":{"token":"%e"}}'], 3000),
        (["x" * 70_000], 1009),
    ],
)
async def test_what_is_not_the_protocol_ends_the_connection_with_its_code(
    settings: Settings, tmp_path: Path, frames: list[str], code: int
) -> None:
    await prepare(settings)
    words = {
        "%s": connection_token(),
        "%t": connection_token(channel="chat:2"),
        "%o": connection_token("u2"),
        "%e": connection_token(life=-5),
    }
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        for frame in frames:
            for word, value in words.items():
                frame = frame.replace(word, value)
            await client.socket.send_str(frame)
        assert await client.closed() == code


async def test_a_signed_in_user_has_the_channels_of_the_crm_and_sees_what_they_may(settings: Settings) -> None:
    users = await prepare(settings)
    async with node(settings) as hub, outside(settings) as log, raw(hub) as client:
        await client.connected(hub.token(users["sales_rep"]))
        assert "subscribe" in await client.ask(2, subscribe={"channel": "activity"})
        assert "subscribe" in await client.ask(3, subscribe={"channel": f"#{users['sales_rep']}"})
        assert (await client.ask(4, subscribe={"channel": f"#{users['admin']}"}))["error"]["code"] == 103
        assert (await client.ask(5, subscribe={"channel": "lead:1"}))["error"]["code"] == 103
        await log.frames("activity", [{"n": 1}], audience={"roles": ["admin"]})
        await log.frames("activity", [{"n": 2}], audience={"roles": ["sales_rep"]})
        assert (await client.hear())["push"]["pub"] == {"data": {"n": 2}, "offset": 2}


async def test_subscriptions_of_the_server_come_with_the_connect_reply_and_go_on_from_where_the_client_left(
    settings: Settings, tmp_path: Path
) -> None:
    users = await prepare(settings)
    token = connection_token(subs={"chat:1": {"data": {"hello": 1}}, "chat:2": {}})
    async with configured(settings, tmp_path) as hub:
        async with raw(hub) as client:
            subs = (await client.connected(token))["subs"]
            assert subs["chat:1"]["data"] == {"hello": 1}
            await hub.publish(users["admin"], "chat:1", 1)
            assert (await client.hear())["push"]["pub"]["offset"] == 1
        for n in (2, 3):
            await hub.publish(users["admin"], "chat:1", n)
        left = {"recover": True, "offset": 1, "epoch": subs["chat:1"]["epoch"]}
        async with raw(hub) as client:
            command = {"token": token, "subs": {"chat:1": left, "chat:2": {**left, "offset": 7}}}
            subs = (await client.ask(1, connect=command))["connect"]["subs"]
            assert subs["chat:1"]["recovered"]
            assert subs["chat:1"]["offset"] == 1
            assert [p["data"] for p in subs["chat:1"]["publications"]] == [2, 3]
            assert "recovered" not in subs["chat:2"]
            await hub.publish(users["admin"], "chat:1", 4)
            assert (await client.hear())["push"]["pub"] == {"data": 4, "offset": 4}


async def test_a_client_may_name_channels_as_it_connects(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    asked: dict[str, Any] = {name: {} for name in ("chat:1", "closed:1", "room:#u2", "lead:1")}
    async with configured(settings, tmp_path) as hub:
        async with raw(hub) as client:
            connect = (await client.ask(1, connect={"token": connection_token(), "subs": asked}))["connect"]
            assert set(connect["subs"]) == {"chat:1", "own:#u1"}
            assert (await client.ask(2, subscribe={"channel": "chat:1"}))["error"]["code"] == 105
        async with raw(hub) as client:
            await client.say({"id": 1, "connect": {"token": connection_token(), "subs": {"nowhere:1": {}}}})
            assert await client.closed() == 3501


async def test_a_token_does_not_open_the_channels_of_the_crm(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    rep = str(users["sales_rep"])
    async with configured(settings, tmp_path) as hub:
        async with raw(hub) as client:
            await client.connected(connection_token(rep))
            token = connection_token(rep, channel="lead:1")
            refused = await client.ask(2, subscribe={"channel": "lead:1", "token": token})
            assert refused["error"]["code"] == 103
        async with raw(hub) as client:
            refused = await client.ask(1, connect={"token": connection_token(rep, channels=["lead:1"])})
            assert refused["error"]["code"] == 103
            assert await client.closed() == 3000


async def test_the_latest_publication_is_all_that_a_cache_recovers(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    async with configured(settings, tmp_path) as hub:
        for n in range(1, 4):
            await hub.publish(users["admin"], "latest:1", {"n": n})
        async with raw(hub) as client:
            await client.connected(connection_token())
            reply = (await client.ask(2, subscribe={"channel": "latest:1", "recover": True}))["subscribe"]
            assert reply["recovered"]
            assert [p["data"]["n"] for p in reply["publications"]] == [3]
            await client.ask(3, unsubscribe={"channel": "latest:1"})
            known = {"channel": "latest:1", "recover": True, "offset": 3, "epoch": reply["epoch"]}
            reply = (await client.ask(4, subscribe=known))["subscribe"]
            assert reply["recovered"]
            assert "publications" not in reply


async def test_a_position_that_is_unknown_is_refused_if_the_client_asks_for_that(
    settings: Settings, tmp_path: Path
) -> None:
    await prepare(settings)
    wrong = {"channel": "chat:1", "recover": True, "offset": 5, "epoch": "0badcafe-1"}
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        await client.connected(connection_token())
        assert (await client.ask(2, subscribe={**wrong, "flag": 2}))["error"]["code"] == 112
        reply = (await client.ask(3, subscribe=wrong))["subscribe"]
        assert reply["was_recovering"]
        assert "recovered" not in reply


async def test_history_is_read_in_pages_both_ways(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        for n in range(1, 8):
            await hub.publish(users["admin"], "chat:1", n)
        await client.connected(connection_token())
        await client.ask(2, subscribe={"channel": "chat:1"})

        async def read(**more: Any) -> tuple[int, list[int]]:
            reply = (await client.ask(3, history={"channel": "chat:1", **more}))["history"]
            return reply["offset"], [publication["data"] for publication in reply["publications"]]

        reply = (await client.ask(3, history={"channel": "chat:1"}))["history"]
        assert (reply["publications"], reply["offset"]) == ([], 7)
        epoch = reply["epoch"]
        assert await read(limit=-1) == (7, [1, 2, 3, 4, 5, 6, 7])
        assert await read(limit=2) == (7, [1, 2])
        assert await read(limit=2, since={"offset": 2, "epoch": epoch}) == (7, [3, 4])
        assert await read(limit=2, reverse=True) == (7, [7, 6])
        assert await read(limit=3, since={"offset": 6, "epoch": epoch}, reverse=True) == (7, [5, 4, 3])
        wrong = await client.ask(4, history={"channel": "chat:1", "limit": 1, "since": {"offset": 1, "epoch": "x"}})
        assert wrong["error"]["code"] == 112


async def test_a_client_s_publication_says_who_published_it(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        mine = await client.connected(connection_token(info={"name": "Ann"}))
        await client.ask(2, subscribe={"channel": "chat:1"})
        await client.say({"id": 3, "publish": {"channel": "chat:1", "data": 1}})
        both = [await client.hear(), await client.hear()]
        (push,) = [one["push"]["pub"] for one in both if "push" in one]
        info = {"user": "u1", "client": mine["client"], "conn_info": {"name": "Ann"}}
        assert push == {"data": 1, "offset": 1, "info": info}
        reply = (await client.ask(4, history={"channel": "chat:1", "limit": 1}))["history"]
        assert reply["publications"] == [push]


async def test_a_web_page_of_another_origin_is_not_let_in(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path) as hub:
        async with raw(hub, headers={"Origin": "https://app.example.com"}) as client:
            await client.connected(connection_token())
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with raw(hub, headers={"Origin": "https://evil.example.com"}):
                pass


async def test_a_client_that_says_nothing_or_answers_no_ping_is_closed(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    quick: dict[str, Any] = {"ping_interval": "300ms", "pong_timeout": "100ms", "stale_close_delay": "200ms"}
    async with configured(settings, tmp_path, **quick) as hub:
        async with raw(hub) as client:
            assert await client.closed() == 3502
        async with raw(hub) as client:
            await client.connected(connection_token())
            await client.socket.receive(timeout=5)
            message = await client.socket.receive(timeout=5)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 3012)


async def test_a_token_that_ends_ends_the_connection_unless_it_is_refreshed(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path, expired_close_delay="100ms") as hub, raw(hub) as client:
        reply = await client.connected(connection_token(life=2))
        assert (reply["expires"], reply["ttl"]) == (True, 1)
        refreshed = (await client.ask(2, refresh={"token": connection_token(life=3)}))["refresh"]
        assert refreshed["ttl"] in (2, 3)
        assert await client.closed() == 3005


async def test_an_unsubscribed_channel_says_nothing_more(settings: Settings, tmp_path: Path) -> None:
    users = await prepare(settings)
    async with configured(settings, tmp_path) as hub, raw(hub) as client:
        await client.connected(connection_token())
        for id, channel in enumerate(("chat:1", "chat:2"), 2):
            await client.ask(id, subscribe={"channel": channel})
        assert await client.ask(4, unsubscribe={"channel": "chat:1"}) == {"id": 4, "unsubscribe": {}}
        assert await client.ask(5, unsubscribe={"channel": "nowhere"}) == {"id": 5, "unsubscribe": {}}
        await hub.publish(users["admin"], "chat:1", 1)
        await hub.publish(users["admin"], "chat:2", 2)
        assert (await client.hear())["push"]["channel"] == "chat:2"


async def test_a_node_and_a_user_have_only_so_many_connections(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    async with configured(settings, tmp_path, connection_limit=2, user_connection_limit=1) as hub, raw(hub) as first:
        await first.connected(connection_token("u1"))
        async with raw(hub) as second:
            await second.say({"id": 1, "connect": {"token": connection_token("u1")}})
            assert await second.closed() == 3504
        async with raw(hub) as third:
            await third.connected(connection_token("u2"))
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                async with raw(hub):
                    pass
    async with configured(settings, tmp_path, connection_rate_limit=3) as hub:
        statuses = []
        for _ in range(20):
            try:
                async with raw(hub):
                    statuses.append(101)
            except aiohttp.WSServerHandshakeError as error:
                statuses.append(error.status)
        assert {101, 503} == set(statuses)


async def test_commands_are_done_beside_each_other_only_up_to_a_limit(settings: Settings, tmp_path: Path) -> None:
    await prepare(settings)
    publish = {"channel": "chat:1", "data": 1}
    asked: list[dict[str, Any]] = [*({"id": id, "publish": publish} for id in (3, 4, 5)), {"id": 6, "ping": {}}]

    async def answers(concurrency: int) -> list[int]:
        async with configured(settings, tmp_path, concurrency=concurrency) as hub, raw(hub) as client:
            await client.connected(connection_token())
            await client.ask(2, subscribe={"channel": "chat:1"})
            await client.say(*asked)
            ids: list[int] = []
            while len(ids) < len(asked):
                if (id := (await client.hear()).get("id")) is not None:
                    ids.append(id)
            return ids

    assert await answers(0) == [3, 4, 5, 6]
    assert (await answers(3))[0] == 6
    two = await answers(2)
    assert two.index(6) == 1 or two.index(6) == 2
    assert sorted(two) == [3, 4, 5, 6]
