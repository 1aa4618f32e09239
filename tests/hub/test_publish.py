"""Publishing from outside: the answer, its repeats, and what is refused."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from hub import publish
from hub.keys import POOL
from hub.publish import PUBLISHER
from settings import Settings
from tests.hub.nodes import node, prepare


async def test_a_publish_answers_its_place_and_repeats_answer_the_same(settings: Settings) -> None:
    users = await prepare(settings)
    admin = users["admin"]
    async with node(settings) as hub, node(settings) as other, hub.socket("/ws/activity/", admin) as client:
        status, first = await hub.publish(admin, "activity", {"n": 1}, idempotency_key="one")
        assert (status, first["offset"]) == (200, 1)
        assert await other.publish(admin, "activity", {"n": 1}, idempotency_key="one") == (200, first)
        assert await hub.publish(users["manager"], "activity", {"n": 2}) == (200, {**first, "offset": 2})
        assert await hub.publish(admin, "activity", {"n": 1}, idempotency_key="one") == (200, first)
        assert (await other.publish(admin, "elsewhere", {}, idempotency_key="one"))[1]["offset"] == 1
        assert await client.take(2) == [
            {"type": "publication", "channel": "activity", "data": {"n": 1}, "offset": 1},
            {"type": "publication", "channel": "activity", "data": {"n": 2}, "offset": 2},
        ]


async def test_repeats_at_the_same_moment_count_once(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub, node(here) as other:
        answers = await asyncio.gather(
            *(one.publish(users["admin"], "news", n, idempotency_key="k") for n in range(10) for one in (hub, other))
        )
        assert {(status, body["offset"]) for status, body in answers} == {(200, 1)}
        assert (await hub.publish(users["admin"], "news", 0))[1]["offset"] == 2


async def test_the_key_may_stand_in_the_header(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        headers = {**hub.signed(users["admin"]), "Idempotency-Key": "k"}
        for _ in range(2):
            body = {"channel": "news", "data": None}
            async with hub.http.post(f"{hub.url}/api/v1/publish/", json=body, headers=headers) as reply:
                assert (await reply.json())["offset"] == 1
        body = {"channel": "news", "data": None, "idempotency_key": "other"}
        async with hub.http.post(f"{hub.url}/api/v1/publish/", json=body, headers=headers) as reply:
            assert (reply.status, list(await reply.json())) == (400, ["idempotency_key"])


async def test_what_cannot_be_published_is_refused_and_changes_nothing(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        url, headers = f"{hub.url}/api/v1/publish/", hub.signed(users["admin"])

        async def post(**body: Any) -> tuple[int, Any]:
            async with hub.http.post(url, json=body, headers=headers) as reply:
                return reply.status, await reply.json()

        for body, fields in (
            ({}, ["channel", "data"]),
            ({"channel": "news"}, ["data"]),
            ({"channel": "", "data": 1}, ["channel"]),
            ({"channel": 7, "data": 1}, ["channel"]),
            ({"channel": "x" * 256, "data": 1}, ["channel"]),
            ({"channel": "neuigkeiten-ä", "data": 1}, ["channel"]),
            ({"channel": "two words", "data": 1}, ["channel"]),
            ({"channel": "a\nb", "data": 1}, ["channel"]),
            ({"channel": "news", "data": "x" * 512 * 1024}, ["data"]),
            ({"channel": "news", "data": 1, "idempotency_key": 7}, ["idempotency_key"]),
            ({"channel": "news", "data": 1, "idempotency_key": ""}, ["idempotency_key"]),
            ({"channel": "news", "data": 1, "colour": "red"}, ["colour"]),
        ):
            status, answer = await post(**body)
            assert (status, sorted(answer)) == (400, fields), body
        assert await post(channel="unheard:of", data=1) == (
            400,
            {"channel": ["unheard:of is in a namespace that is not configured."]},
        )
        for channel in ("lead:7", "job:1", "timeline:lead:7", "dashboard:"):
            assert (await post(channel=channel, data=1))[0] == 403
        assert (await hub.publish(users["sales_rep"], "news", 1))[0] == 403
        async with hub.http.post(url, data=b'{"channel": "news", ', headers=headers) as reply:
            assert reply.status == 400
        async with hub.http.post(url, data=BytesIO(b"x" * (1024 * 1024 + 1)), headers=headers) as reply:
            assert reply.status == 413
        async with hub.http.post(url, json={"channel": "news", "data": 1}) as reply:
            assert reply.status == 401
        assert (await post(channel="news", data="x" * (512 * 1024 - 2)))[1]["offset"] == 1


async def test_after_the_acknowledgement_the_answer_is_never_an_error(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "FOLD_PATIENCE", 0.05)
    users = await prepare(here)
    async with node(here) as hub:
        tail = hub.fold._tail
        held = asyncio.Event()
        step = tail.step

        async def wait() -> None:
            await held.wait()
            await step()

        tail.step = wait  # type: ignore[method-assign]
        await hub.publish(users["admin"], "news", 0)
        assert await hub.publish(users["admin"], "news", 1, idempotency_key="k") == (
            202,
            {"epoch": None, "offset": None},
        )
        held.set()
        async with asyncio.timeout(10):
            while (answer := await hub.publish(users["admin"], "news", 1, idempotency_key="k"))[0] == 202:
                pass
        assert answer[1]["offset"] == 2


async def test_without_an_acknowledgement_the_outcome_is_unknown(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "ACK_PATIENCE", 0.1)
    users = await prepare(here)
    async with node(here) as hub:
        lost = AIOKafkaProducer(bootstrap_servers=here.kafka)
        await lost.start()
        await lost.stop()
        hub.app[PUBLISHER]._producer = lost
        status, body = await hub.publish(users["admin"], "news", 1)
        assert status == 503
        assert "unknown" in body["detail"]


async def test_nothing_needs_postgres_once_the_caller_is_known(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub:
        assert (await hub.publish(users["admin"], "news", 1))[0] == 200
        hub.app[POOL].terminate()
        assert (await hub.publish(users["admin"], "news", 2))[1]["offset"] == 2
