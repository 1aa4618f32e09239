"""Snapshots in Postgres: which are due, which are found, which are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest

from actors import snapshot
from actors.log import State
from actors.messages import Snapshot
from hub import snapshots
from hub.snapshots import Snapshots
from models import database as models_database


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with models_database.pool(database, size=2) as made:
        await made.execute("INSERT INTO logs (id, incarnation) VALUES (1, 'aaaaaaaa'), (2, 'bbbbbbbb')")
        yield made


def at(offset: int) -> Snapshot:
    state = State(incarnation="bbbbbbbb", next=offset, mark=0, timestamp=offset)
    return Snapshot(next=offset, timestamp=offset, state=snapshot.encode(state))


def _up_to(most: int, state: State) -> bool:
    return state.next <= most


async def test_the_newest_usable_one_is_found(pool: asyncpg.Pool) -> None:
    kept = Snapshots(pool, 2)
    for offset in range(100, 1100, 100):
        await kept.add(5, at(offset), beginning=0)
    for above, below, usable, found in (
        (0, 2_000, 2_000, 1_000),
        (0, 999, 2_000, 900),
        (0, 2_000, 350, 300),
        (0, 2_000, 100, 100),
        (0, 2_000, 99, None),
        (400, 2_000, 350, None),
        (1_001, 2_000, 2_000, None),
    ):
        restored = await kept.newest(5, above=above, below=below, usable=partial(_up_to, usable))
        assert (None if restored is None else restored.state.next) == found, (above, below, usable)
    assert await kept.newest(4, above=0, below=2_000) is None
    assert await Snapshots(pool, 1).newest(5, above=0, below=2_000) is None


async def test_one_is_due_when_its_partition_has_moved_far_enough(pool: asyncpg.Pool) -> None:
    kept = Snapshots(pool, 2)
    step = snapshots.SPACING
    assert await kept.due([0, step - 1, step]) == [2]
    await kept.add(2, at(step), beginning=0)
    assert await kept.due([0, step, 2 * step - 1]) == [1]
    assert await kept.due([0, 0, 2 * step]) == [2]


async def test_old_ones_are_thinned_out_and_those_of_other_logs_go(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "THINNED", 500)
    await Snapshots(pool, 1).add(5, at(50), beginning=0)
    kept = Snapshots(pool, 2)
    for offset in range(100, 1100, 100):
        await kept.add(5, at(offset), beginning=0)
    await pool.execute("UPDATE channel_snapshots SET taken_at = now() - interval '2 hours' WHERE kafka_offset < 1000")
    await kept.add(6, at(700), beginning=0)
    await kept.add(5, at(1_100), beginning=200)
    rows = await pool.fetch("SELECT log_id, partition, kafka_offset FROM channel_snapshots ORDER BY 1, 2, 3")
    assert [tuple(row) for row in rows] == [(2, 5, 200), (2, 5, 500), (2, 5, 1_000), (2, 5, 1_100), (2, 6, 700)]


async def test_a_snapshot_that_cannot_be_read_is_passed_over(pool: asyncpg.Pool) -> None:
    kept = Snapshots(pool, 2)
    await kept.add(5, at(100), beginning=0)
    await kept.add(5, Snapshot(next=200, timestamp=200, state=b"of another format"), beginning=0)
    restored = await kept.newest(5, above=0, below=1_000)
    assert restored is not None
    assert restored.state.next == 100
