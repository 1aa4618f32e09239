"""A whole Switchboard per test, on the embedded broker and on Apache Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Brokers
from tests.system.stack import Stack


@pytest.fixture(params=["embedded", "apache"])
def given(request: pytest.FixtureRequest, brokers: Brokers, prefix: str) -> dict[str, str]:
    """Settings that name Apache Kafka, or none for the embedded broker. Skips where there is no Apache Kafka."""
    if request.param == "embedded":
        return {}
    return {"HUB_KAFKA": brokers.address("apache"), "HUB_KAFKA_PREFIX": prefix, "HUB_SECRET": "s" * 32}


@pytest.fixture
async def stack(given: dict[str, str], tmp_path: Path) -> AsyncIterator[Stack]:
    """Everything up with a Postgres of its own."""
    stack = Stack(tmp_path / "data", given)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()
