"""A whole Switchboard per test, on the embedded broker and on Apache Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Brokers
from tests.system.stack import Stack


@pytest.fixture(params=["embedded", "apache"])
async def stack(request: pytest.FixtureRequest, brokers: Brokers, prefix: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """Everything up with a Postgres of its own."""
    given = {}
    if request.param == "apache":
        given = {"HUB_KAFKA": brokers.address("apache"), "HUB_KAFKA_PREFIX": prefix, "HUB_SECRET": "s" * 32}
    stack = Stack(tmp_path / "data", given)
    try:
        await stack.start()
        yield stack
    finally:
        await stack.stop()
