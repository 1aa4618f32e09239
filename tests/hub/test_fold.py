"""The fold on real nodes: the same numbers everywhere, whatever restarts; history from beyond memory; stopping."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.admin import NewTopic

from actors.channel import Retention
from actors.log import Position, State
from actors.messages import Read
from hub import fold, scan, snapshots
from hub.namespaces import Namespaces
from models import database
from settings import Settings
from streams import kafka
from streams import log as logs
from streams.log import LogError
from streams.topics import PARTITIONS, PUBLICATIONS, partition_of
from tests.hub.nodes import Node, Outside, node, outside, prepare

CHANNELS = ["activity", "news", "#1", "#2", "lead:1", "lead:2", "lead:3"]

Numbers = dict[str, list[tuple[str, int, bytes]]]


async def numbers(hub: Node) -> Numbers:
    """(epoch, offset, payload) of all that a node remembers."""
    found: Numbers = {}
    for channel in CHANNELS:
        page = await hub.fold.partition(channel).ask(Read(channel=channel, since=None, limit=100_000))
        found[channel] = [(page.top.epoch, p.offset, p.record.payload) for p in page.publications]
    return found


async def folded(hub: Node, partition: int, next: int) -> None:
    """Wait until a node has folded so far."""
    async with asyncio.timeout(20):
        await hub.fold._tail.reached(partition, next)


async def reaches(hub: Node, others: Node) -> None:
    """Wait until a node has folded what another one has."""
    for partition, next in enumerate(others.fold._tail.next):
        await folded(hub, partition, next)


async def talk(log: Outside, round: int) -> None:
    """Frames, publications, repeats of both, and time passing, on all channels."""
    for channel in CHANNELS:
        await log.frames(channel, [{"type": "x", "round": round, "n": n, "channel": channel} for n in range(20)])
    for channel in CHANNELS:
        await log.publications(channel, [round, round, round], ids=["always the same", f"{round}", f"{round}"])
    for partition in range(PARTITIONS):
        await log.tick(partition, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=200 * round))
    repeated = dict(log.numbers)
    log.numbers.update({partition: max(0, n - 5) for partition, n in repeated.items()})
    for channel in CHANNELS:
        await log.frames(channel, [{"type": "a repeat of the relay's"}])
    log.numbers.update(repeated)


async def test_every_node_gives_the_same_numbers_whatever_restarts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SPACING", 40)
    await prepare(settings)
    async with outside(settings) as log:
        async with node(settings) as first:
            await talk(log, 1)
            async with node(settings) as later:
                await talk(log, 2)
                await reaches(first, later)
                await reaches(later, first)
                assert await numbers(first) == await numbers(later)
                await first.fold.take_snapshots([0] * PARTITIONS)
            await talk(log, 3)
            async with node(settings) as third:
                await reaches(first, third)
                before = await numbers(first)
                assert await numbers(third) == before
        # Both restart: one goes on from the snapshot, one has to begin at the beginning.
        async with node(settings) as first:
            assert await numbers(first) == before
            async with database.pool(settings.database_url, size=1) as pool:
                assert await pool.fetchval("SELECT count(*) FROM channel_snapshots") > 0
                await pool.execute("DELETE FROM channel_snapshots")
            async with node(settings) as second:
                assert await numbers(second) == before
                await talk(log, 4)
                await reaches(first, second)
                await reaches(second, first)
                assert await numbers(first) == await numbers(second) != before
    for channel, seen in before.items():
        assert [offset for _, offset, _ in seen] == list(range(1, len(seen) + 1)), channel
        assert len(seen) == 3 * 20 + 1 + 3  # frames, the key that is always the same, and a key of each round


async def test_a_client_resumes_from_beyond_memory(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Namespaces, "retention", lambda *_: Retention(size=50, ttl=3600))
    monkeypatch.setattr(snapshots, "SPACING", 200)
    users = await prepare(settings)
    audience = {"roles": ["viewer"]}
    async with node(settings) as hub, outside(settings) as log:
        for round in range(10):
            await log.frames("activity", [{"type": "x", "id": round * 100 + n} for n in range(60)])
            await log.frames(
                "activity", [{"type": "x", "id": round * 100 + 60 + n} for n in range(40)], audience=audience
            )
            await log.publications("activity", [round], ids=["the same key"])
            await folded(hub, partition_of("activity"), 101 * (round + 1))
            await hub.fold.take_snapshots([0] * PARTITIONS)
        top = 10 * 100 + 1
        for role, since in (("viewer", 0), ("viewer", 333), ("admin", 0), ("admin", 850)):
            async with hub.socket("/ws/activity/", users[role], since=since) as client:
                assert (client.greeting["recovered"], client.greeting["offset"]) == (True, since)
                writing = asyncio.create_task(log.frames("activity", [{"type": "live"}]))
                top += 1
                visible = [n for n in range(since + 1, top + 1) if role == "viewer" or _for_all(n)]
                frames = await client.take(len(visible))
                await writing
                assert [frame["offset"] for frame in frames] == visible
                assert [f["id"] for f in frames if f["type"] == "x"] == [_id(n) for n in visible if _id(n) is not None]


def _id(offset: int) -> int | None:
    """What the agent's frame with this offset said: the publication with the repeated key stands at 101."""
    if offset <= 100:
        return offset - 1
    return offset - 2 if 101 < offset <= 1001 else None


def _for_all(offset: int) -> bool:
    id = _id(offset)
    return id is None or id % 100 < 60


async def test_many_resume_at_once_from_different_places(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Namespaces, "retention", lambda *_: Retention(size=10, ttl=3600))
    monkeypatch.setattr(scan, "TURN", 64)
    users = await prepare(here)
    async with node(here) as hub, outside(here) as log:
        await log.frames("activity", [{"type": "x", "id": n} for n in range(1, 1501)])
        await log.frames("news", [{"type": "x", "id": n} for n in range(1, 301)])

        async def resume(since: int) -> list[int]:
            async with hub.socket("/ws/activity/", users["admin"], since=since) as client:
                return [frame["id"] for frame in await client.take(1500 - since)]

        places = [0, 0, 1, 250, 256, 257, 700, 1400, 1485, 1499]
        assert await asyncio.gather(*map(resume, places)) == [list(range(since + 1, 1501)) for since in places]


async def test_a_client_that_is_ahead_of_a_node_waits_for_it(here: Settings) -> None:
    users = await prepare(here)
    async with node(here) as ahead, node(here) as behind, outside(here) as log:
        held, step = asyncio.Event(), behind.fold._tail.step

        async def wait() -> None:
            await held.wait()
            await step()

        behind.fold._tail.step = wait  # type: ignore[method-assign]
        await log.frames("news", [{"type": "x"}])  # ends the step that is under way
        async with ahead.socket("/ws/activity/", users["admin"]) as client:
            await log.frames("activity", [{"type": "x", "id": 1}])
            await client.take(1)
        coming = asyncio.create_task(_come(behind, users["admin"], since=1, epoch=client.epoch))
        await log.frames("activity", [{"type": "x", "id": 2}])
        held.set()
        assert await coming == (True, [2])


async def _come(hub: Node, user: int, **place: str | int) -> tuple[bool, list[int]]:
    async with hub.socket("/ws/activity/", user, **place) as client:
        return client.greeting["recovered"], [frame["id"] for frame in await client.take(1)]


async def test_a_place_the_log_no_longer_reaches_is_not_recovered(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Namespaces, "retention", lambda *_: Retention(size=10, ttl=3600))
    users = await prepare(here)
    async with node(here) as hub, outside(here) as log:
        await log.frames("activity", [{"type": "x", "id": n} for n in range(1, 101)])

        # The oldest that can be folded from is the state before record 50.
        for one in hub.fold._scans:
            monkeypatch.setattr(one, "_first", lambda: State.first("00000000", 50, 1))
        async with hub.socket("/ws/activity/", users["admin"], since=5) as client:
            assert (client.greeting["recovered"], client.greeting["offset"]) == (False, 100)
        async with hub.socket("/ws/activity/", users["admin"], since=95) as client:
            assert [frame["offset"] for frame in await client.take(5)] == [96, 97, 98, 99, 100]


async def test_a_starting_node_remembers_what_was_remembered(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SPACING", 10)
    users = await prepare(here)
    async with outside(here) as log:
        async with node(here) as hub:
            await log.frames("activity", [{"type": "x", "id": n} for n in range(1, 301)])
            await folded(hub, partition_of("activity"), 300)
            await hub.fold.take_snapshots([0] * PARTITIONS)
        async with node(here) as hub:
            page = await hub.fold.partition("activity").ask(
                Read(channel="activity", since=Position("", 0), limit=10_000)
            )
            assert page.gap is None
            async with hub.socket("/ws/activity/", users["admin"], since=0) as client:
                assert [frame["id"] for frame in await client.take(300)] == list(range(1, 301))


async def test_missing_numbers_are_asked_for_once(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "ROUND", 0.02)
    users = await prepare(here)
    partition = partition_of("activity")
    async with (
        node(here) as hub,
        outside(here) as log,
        database.pool(here.database_url, size=1) as pool,
        hub.socket("/ws/activity/", users["admin"]) as client,
    ):
        await log.frames("activity", [{"type": "x", "id": 1}])
        log.numbers[partition] = 4
        await log.frames("activity", [{"type": "x", "id": 5}, {"type": "x", "id": 6}])
        async with asyncio.timeout(10):
            while (asked := await pool.fetchrow("SELECT partition, after_n FROM resend_requests")) is None:
                await asyncio.sleep(0)
        assert tuple(asked) == (partition, 1)
        log.numbers[partition] = 1
        await log.frames("activity", [{"type": "x", "id": n} for n in range(2, 7)])
        assert [frame["id"] for frame in await client.take(6)] == [1, 2, 3, 4, 5, 6]


async def failure(hub: Node) -> BaseException:
    """What ends a node's fold."""
    await asyncio.wait([hub.fold.failed], timeout=10)
    error = hub.fold.failed.exception()
    assert error is not None
    assert not hub.fold.ready
    return error


async def test_a_node_stops_when_postgres_was_put_back(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "ROUND", 0.02)
    await prepare(here)
    async with node(here) as hub, outside(here) as log, database.pool(here.database_url, size=1) as pool:
        await log.frames("activity", [{"type": "x"}] * 10)
        await pool.execute("UPDATE relay_marks SET numbered = 9")
        error = await failure(hub)
        assert isinstance(error, LogError)
        assert "newlog" in str(error)


async def test_a_node_stops_when_the_log_was_made_anew(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "ROUND", 0.02)
    await prepare(here)
    async with node(here) as hub, database.pool(here.database_url, size=1) as pool:
        await pool.execute("INSERT INTO logs (incarnation) VALUES ('cafecafe')")
        assert "anew" in str(await failure(hub))


async def test_a_snapshot_of_another_log_is_not_gone_on_from(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SPACING", 5)
    await prepare(here)
    async with outside(here) as log:
        async with node(here) as hub:
            await log.frames("activity", [{"type": "x"}] * 10)
            await folded(hub, partition_of("activity"), 10)
            await hub.fold.take_snapshots([0] * PARTITIONS)
        # Kafka was replaced by one that has grown to the same length.
        name = here.kafka_prefix + PUBLICATIONS.name
        async with kafka.admin(here) as admin:
            await admin.delete_topics([name])
            await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
        await log.frames("activity", [{"type": "y"}] * 20)
        with pytest.raises(LogError, match="newlog"):
            async with node(here):
                pass


async def test_there_must_be_a_log(here: Settings) -> None:
    async with database.pool(here.database_url, size=1) as pool:
        with pytest.raises(LogError, match="migrate"):
            async with fold.folding(here, pool, lambda _: Retention(size=1, ttl=1)):
                pass
        assert await logs.ensure(here, pool)
