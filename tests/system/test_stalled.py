"""Clients that never read on a busy channel: a cursor each, for the hub and for everybody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import Settings
from tests.system.crowd import Crowd, one_hub, watch

#: About the hub and its sockets, whatever the broker.
pytestmark = pytest.mark.one_broker

#: What the hub's memory may grow by between the time when history, cursors and buffers are full and the end, in bytes.
#: That is noise of the allocator: a queue for each stalled client would have been hundreds of megabytes even in the
#: small size, since everything said after that is meant for all of them.
FLAT = 16 * 1024 * 1024


async def test_stalled_clients_cost_a_cursor(settings: Settings, tmp_path: Path, soak: bool) -> None:
    crowd = (
        Crowd(healthy=5, stalled=900, late=100, rate=500, seconds=60, history=3_000)
        if soak
        else Crowd(healthy=3, stalled=180, late=20, rate=500, seconds=6, history=600)
    )
    async with one_hub(settings, tmp_path, crowd) as hub:
        outcome = await watch(settings, hub, crowd)
    assert outcome.behind == crowd.stalled + crowd.late
    assert outcome.end - outcome.warm < FLAT, (outcome.warm, outcome.end)
    assert outcome.closes == {3008: crowd.stalled}
    assert outcome.went_on == crowd.late
