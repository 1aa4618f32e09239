"""A story in a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from models import database as databases
from tests.streams.story import Story


@pytest.fixture
async def story(database: str) -> AsyncIterator[Story]:
    """A fresh migrated database in which nothing has happened."""
    async with databases.pool(database, size=6) as pool:
        yield Story(pool)
