"""Bringing a database to the newest schema."""

from __future__ import annotations

import asyncpg
import structlog
from tortoise.connection import get_connection
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget
from tortoise.migrations.recorder import MigrationRecorder
from tortoise.migrations.schema_editor.asyncpg import AsyncpgSchemaEditor

from models import database

log = structlog.get_logger()

#: Key of the advisory lock that lets one process migrate at a time.
LOCK = 0x5B17C4

SCHEMA = "CREATE OR REPLACE FUNCTION hub_schema() RETURNS integer LANGUAGE sql STABLE AS 'SELECT {number}'"


async def migrate(url: str) -> list[str]:
    """Apply what is missing, each migration in one transaction with its record; returns the names applied.

    Several processes may call it at once: one migrates, the others wait and find nothing left to do.
    """
    guard = await asyncpg.connect(url)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", LOCK)
        async with database.orm(url, size=2):
            return await _apply_all()
    finally:
        await guard.close()


async def _apply_all() -> list[str]:
    connection = get_connection("default")
    await MigrationRecorder(connection).ensure_schema(AsyncpgSchemaEditor(connection, atomic=False))
    applied: list[str] = []
    for step in await _executor().plan():
        name = step.migration.name
        async with database.transaction(database.Context(source="migration")) as client:
            # Before the migration, so that what it makes can refer to it, and what it changes bears its number.
            await client.execute_query(SCHEMA.format(number=int(name[:4])))
            await _executor().migrate([MigrationTarget(app_label="models", name=name)])
        log.info("migration_applied", name=name)
        applied.append(name)
    return applied


async def pending(url: str) -> list[str]:
    """Names of the migrations this database has not had yet."""
    async with database.orm(url, size=2):
        return [step.migration.name for step in await _executor().plan()]


def _executor() -> MigrationExecutor:
    """An executor on the current connection, which inside a transaction is the transaction's."""
    return MigrationExecutor(get_connection("default"), {"models": database.config("")["apps"]["models"]})
