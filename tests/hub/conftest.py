"""The hub's tests run on the loop it runs on: uvloop buffers and drains sockets differently from asyncio's own."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from hub import second_factor
from settings import Settings
from tests.conftest import Brokers
from tests.hub.accounts import MOMENT
from tests.hub.rest import Rest, serve


class Loop(uvloop.Loop):
    """Warns of what was left open when it is closed: uvloop's own warning, made an error, keeps it from closing."""

    def close(self) -> None:
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always")
            super().close()
        for warning in left:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": Loop}


@pytest.fixture
def here(database: str, brokers: Brokers, prefix: str, tmp_path: Path) -> Settings:
    """Settings over the embedded broker alone, for what does not depend on the broker."""
    return Settings(
        database_url=database,
        kafka=brokers.address("embedded"),
        kafka_prefix=prefix,
        port=0,
        data=tmp_path / "data",
        secret="a secret for tests, long enough for HS256",
        tail_fetch_wait=5,
        user_rate=0,
        address_rate=0,
    )


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock that codes are checked by stands still, so that none is of the step before by the time it arrives."""
    monkeypatch.setattr(second_factor, "now", lambda: MOMENT)


@pytest.fixture
async def rest(database: str) -> AsyncIterator[Rest]:
    """The REST side of a hub over a fresh database, without Kafka."""
    async with serve(database) as hub:
        yield hub
