"""A whole Switchboard on the embedded broker and one on Apache Kafka, each started once per run."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Brokers, Run
from tests.system.stack import Stack


@pytest.fixture(scope="session", params=["embedded", "apache"])
def stack(
    request: pytest.FixtureRequest, run: Run[Any], brokers: Brokers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Everything up with a Postgres of its own. Skips where there is no Apache Kafka."""
    given = {}
    if request.param == "apache":
        prefix = f"t{secrets.token_hex(4)}."
        given = {"HUB_KAFKA": brokers.address("apache"), "HUB_KAFKA_PREFIX": prefix, "HUB_SECRET": "s" * 32}
    stack = Stack(tmp_path_factory.mktemp("stack") / "data", given)
    try:
        run(stack.start())
        yield stack
    finally:
        run(stack.stop())
