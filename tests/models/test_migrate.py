"""Migrations: complete, together or not at all, and one process at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from tortoise.context import TortoiseContext
from tortoise.exceptions import OperationalError
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.operations import AlterModelOptions
from tortoise.migrations.schema_generator.operation_generator import OperationGenerator

from engines.postgres import APPLICATION, Postgres
from models import database, migrate
from tests.models.conftest import Store

NAMES = [
    "0001_initial",
    "0002_machinery",
    "0003_capture",
    "0004_rights",
    "0005_lists",
    "0006_accounts",
    "0007_jobs",
    "0008_custom_fields",
    "0009_actions",
    "0010_imports",
]


@pytest.fixture
async def empty(postgres: Postgres) -> AsyncIterator[str]:
    """URL of a database without anything in it."""
    name = f"test_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(postgres.url("postgres", admin=True))
    await admin.execute(f"CREATE DATABASE {name} OWNER {APPLICATION}")
    yield postgres.url(name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def test_two_processes_at_once_migrate_once(empty: str) -> None:
    assert await migrate.pending(empty) == NAMES
    applied = await asyncio.gather(migrate.migrate(empty), migrate.migrate(empty), migrate.migrate(empty))
    assert sorted(applied) == [[], [], NAMES]
    assert await migrate.migrate(empty) == []
    assert await migrate.pending(empty) == []


async def test_a_migration_that_fails_leaves_nothing_and_can_be_repeated(empty: str) -> None:
    connection = await asyncpg.connect(empty)
    await connection.execute("CREATE TABLE resend_requests (in_the_way int)")
    with pytest.raises(OperationalError, match="already exists"):
        await migrate.migrate(empty)
    assert await migrate.pending(empty) == NAMES[1:]
    assert await connection.fetchval("SELECT to_regclass('events')") is None
    assert await connection.fetchval("SELECT hub_schema()") == 1
    await connection.execute("DROP TABLE resend_requests")
    assert await migrate.migrate(empty) == NAMES[1:]
    assert await connection.fetchval("SELECT hub_schema()") == int(NAMES[-1][:4])
    await connection.close()


async def test_no_model_has_changed_without_a_migration() -> None:
    config = database.config("postgresql://localhost/none")
    async with TortoiseContext() as context:
        await context.init(config, init_connections=False)
        assert context.apps is not None
        detector = MigrationAutodetector(context.apps, config["apps"])
        await detector.loader.build_graph()
        operations = OperationGenerator(await detector._project_state(), detector._current_state()).generate(
            app_labels=["models"]
        )
    # A docstring is a table's description to Tortoise; it is none in the database.
    assert [o for o in operations if not isinstance(o, AlterModelOptions)] == []


async def test_every_declared_constraint_is_in_the_database(store: Store) -> None:
    rows = await store.pool.fetch("SELECT conname FROM pg_constraint WHERE contype = 'c'")
    async with TortoiseContext() as context:
        await context.init(database.config(store.url), init_connections=False)
        assert context.apps is not None
        models = context.apps["models"].values()
        declared = {constraint.name for model in models for constraint in model._meta.constraints}
    assert declared
    assert declared <= {row["conname"] for row in rows}
