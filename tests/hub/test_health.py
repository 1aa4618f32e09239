"""What operators' tools are told, and the page."""

from __future__ import annotations

import asyncio

import pytest

from hub import fold
from hub.keys import POOL
from settings import Settings
from tests.hub.nodes import Node, node, prepare


async def ready(hub: Node) -> tuple[int, dict[str, object]]:
    async with hub.http.get(f"{hub.url}/health/ready") as reply:
        return reply.status, await reply.json()


async def test_a_node_stays_ready_without_postgres(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "ROUND", 0.02)
    users = await prepare(here)
    async with node(here) as hub, hub.socket("/ws/activity/", users["admin"]) as client:
        await hub.control.settled()
        incarnation = hub.fold.log.incarnation
        assert await ready(hub) == (200, {"ready": True, "log": incarnation, "postgres": "up"})
        hub.app[POOL].terminate()
        async with asyncio.timeout(10):
            while (await ready(hub))[1]["postgres"] == "up":
                pass
        assert (await ready(hub))[0] == 200
        assert (await hub.publish(users["admin"], "activity", 1))[0] == 200
        assert (await client.take(1))[0]["data"] == 1


async def test_a_node_whose_fold_has_ended_is_not_ready(here: Settings) -> None:
    await prepare(here)
    async with node(here) as hub:
        hub.fold.failed.set_exception(RuntimeError("over"))
        hub.fold.failed.exception()
        assert (await ready(hub))[0] == 503
        async with hub.http.get(f"{hub.url}/health/live") as reply:
            assert reply.status == 200


async def test_metrics_count_what_goes_on(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as hub, hub.socket("/ws/activity/", users["admin"]):
        await hub.publish(users["admin"], "activity", 1)
        async with hub.http.get(f"{hub.url}/metrics") as reply:
            text = await reply.text()
        assert reply.headers["Content-Type"].startswith("text/plain")
        assert 'hub_connections{transport="activity"} 1.0' in text
        for name in ("hub_records_total", "hub_deliveries_total", "hub_behind_records", "hub_publishes_total"):
            assert name in text


async def test_the_page_brings_what_it_needs(here: Settings) -> None:
    await prepare(here)
    async with node(here) as hub:
        for path, kind in (
            ("/", "text/html"),
            ("/page/page.js", "application/javascript"),
            ("/page/page.css", "text/css"),
        ):
            async with hub.http.get(hub.url + path) as reply:
                assert (reply.status, reply.content_type) == (200, kind)
                assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
        for path in ("/page/__init__.py", "/page/index.html", "/page/..%2fserver.py", "/page/"):
            async with hub.http.get(hub.url + path) as reply:
                assert reply.status == 404
