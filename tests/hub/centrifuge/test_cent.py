"""The official Python client of the server API, unmodified, against a node: every method a free server has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import cent
import pytest

from actors.presence import ClientInfo
from hub.control import CONTROL
from hub.presence import PRESENCE
from settings import Settings
from tests.hub.centrifuge.test_api import KEY, backend, configured


async def test_the_asynchronous_client(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (hub, _):
        heard: list[tuple[str, Any]] = []

        async def counted(_content: Any) -> dict[str, int]:
            return {"chat:1": 1}

        for name in ("subscribe", "unsubscribe", "disconnect", "refresh"):

            async def take(content: Any, name: str = name) -> None:
                heard.append((name, content["user"]))

            hub.app[CONTROL].on(name, take)
        hub.app[CONTROL].on("channels", counted)
        hub.app[PRESENCE].enter("chat:1", ClientInfo(user="7", client="c", conn_info=b'{"a":1}'))
        async with cent.AsyncClient(f"{hub.url}/api", KEY, session=hub.http) as client:
            await _publishing(client)
            found = (await client.presence(cent.PresenceRequest(channel="chat:1"))).presence
            assert (found["c"].user, found["c"].conn_info) == ("7", {"a": 1})
            stats = await client.presence_stats(cent.PresenceStatsRequest(channel="chat:1"))
            assert (stats.num_clients, stats.num_users) == (1, 1)
            assert (await client.channels(cent.ChannelsRequest(pattern="*"))).channels["chat:1"].num_clients == 1
            (node,) = (await client.info(cent.InfoRequest())).nodes
            assert (node.uid, node.num_channels, node.process is not None) == (hub.app[CONTROL].node, 0, True)
            await client.subscribe(
                cent.SubscribeRequest(
                    user="7",
                    channel="news",
                    data={"a": 1},
                    recover_since=cent.StreamPosition(),
                    override=cent.ChannelOptionsOverride(presence=cent.BoolValue(value=True)),
                )
            )
            await client.unsubscribe(cent.UnsubscribeRequest(user="7", channel="news"))
            close = cent.Disconnect(code=4000, reason="bye")
            await client.disconnect(cent.DisconnectRequest(user="7", disconnect=close, whitelist=["c"]))
            await client.refresh(cent.RefreshRequest(user="7", expired=True))
            async with asyncio.timeout(10):
                while len(heard) < 4:
                    await asyncio.sleep(0)
            assert heard == [(name, "7") for name in ("subscribe", "unsubscribe", "disconnect", "refresh")]


async def _publishing(client: cent.AsyncClient) -> None:
    said = cent.PublishRequest(channel="news", data={"n": 1}, tags={"k": "v"}, idempotency_key="one")
    first = await client.publish(said)
    assert (first.offset, await client.publish(said)) == (1, first)
    answers = (await client.broadcast(cent.BroadcastRequest(channels=["news", "unheard:of"], data={"n": 2}))).responses
    assert [(a.result and a.result.offset, a.error and a.error.code) for a in answers] == [(2, None), (None, 102)]
    history = await client.history(cent.HistoryRequest(channel="news", limit=-1))
    assert [(p.offset, p.data) for p in history.publications] == [(1, {"n": 1}), (2, {"n": 2})]
    assert [p.tags for p in history.publications] == [{"k": "v"}, None]
    since = cent.StreamPosition(offset=2, epoch=history.epoch)
    back = await client.history(cent.HistoryRequest(channel="news", limit=-1, since=since, reverse=True))
    assert [p.offset for p in back.publications] == [1]
    requests = [cent.PublishRequest(channel="news", data=3), cent.InfoRequest(), cent.HistoryRequest(channel="news")]
    for parallel in (False, True):
        published, info, read = (await client.batch(cent.BatchRequest(requests=requests, parallel=parallel))).replies
        assert isinstance(published, cent.PublishResult)
        assert isinstance(info, cent.InfoResult)
        assert isinstance(read, cent.HistoryResult)
        assert (published.offset, len(info.nodes), read.publications) == (4 if parallel else 3, 1, [])
    with pytest.raises(cent.CentApiResponseError) as refused:
        await client.history_remove(cent.HistoryRemoveRequest(channel="news"))
    assert refused.value.code == 108
    with pytest.raises(cent.CentApiResponseError) as unknown:
        await client.publish(cent.PublishRequest(channel="unheard:of", data={}))
    assert (unknown.value.code, unknown.value.message) == (102, "unknown channel")


async def test_the_synchronous_client(here: Settings, tmp_path: Path) -> None:
    async with backend(configured(here, tmp_path)) as (hub, _):

        def use(key: str) -> int:
            client = cent.Client(f"{hub.url}/api", key)
            try:
                return client.publish(cent.PublishRequest(channel="news", data={"n": 1})).offset
            finally:
                client.close()

        assert await asyncio.to_thread(use, KEY) == 1
        with pytest.raises(cent.CentUnauthorizedError):
            await asyncio.to_thread(use, "wrong")
