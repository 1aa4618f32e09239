"""schemathesis asks a running hub everything its document describes: no 5xx, and every answer as documented."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from settings import Settings
from tests.hub.nodes import Node, node, prepare

#: About the document, whatever the broker.
pytestmark = pytest.mark.one_broker

KEY = "the key of the backend"
CONFIGURATION = {
    "http_api": {"key": KEY},
    "channel": {"without_namespace": {"history_size": 10, "history_ttl": "1h", "presence": True}},
}

#: The same handlers under the paths of shipped clients; left to the soak.
ALIASES = (
    "--exclude-path-regex=^/api/(leads|contacts|opportunities|tasks|activity-feed)/"
    "|^/api/v1/(leads|contacts|opportunities|tasks)/import/"
)

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@dataclass(frozen=True)
class Hub:
    """A hub with some records, and the ids of its users by role."""

    node: Node
    users: dict[str, int]

    async def asked(self, role: str, *options: str) -> None:
        """Ask everything as this role; fails with what schemathesis found."""
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={HERE / 'schemathesis.toml'}",
            "run",
            f"{self.node.url}/api/schema/",
            f"--header=Authorization: Bearer {self.node.token(self.users[role], minutes=120)}",
            f"--header=X-API-Key: {KEY}",
            *options,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode(errors="replace")


@pytest.fixture
async def hub(here: Settings, tmp_path: Path) -> AsyncIterator[Hub]:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIGURATION))
    settings = replace(here, config=str(file), user_rate=0, address_rate=0, account_tries=0, address_tries=0)
    users = await prepare(settings)
    async with node(settings) as running:
        headers = running.signed(users["admin"])
        for path, record in (
            ("leads", {"first_name": "Ida", "last_name": "Holt", "email": "ida@example.com"}),
            ("contacts", {"first_name": "Kai", "last_name": "Brandt", "email": "kai@example.com"}),
            (
                "opportunities",
                {"name": "Mill", "contact": 1, "amount": "1200.50", "expected_close_date": "2026-12-01"},
            ),
            ("tasks", {"title": "Call", "assigned_to": users["admin"]}),
        ):
            async with running.http.post(f"{running.url}/api/v1/{path}/", json=record, headers=headers) as reply:
                assert reply.status == 201, await reply.text()
        yield Hub(running, users)


async def test_every_answer_is_as_documented(hub: Hub) -> None:
    await hub.asked("admin", "--phases=fuzzing", "--max-examples=2", "--seed=1", ALIASES)


async def test_every_answer_to_someone_with_fewer_rights_is_as_documented(hub: Hub) -> None:
    # The server API goes by a key, whoever asks.
    await hub.asked(
        "sales_rep", "--phases=fuzzing", "--max-examples=1", "--seed=1", "--exclude-tag=server API", ALIASES
    )


@pytest.mark.timeout(3000)
async def test_every_answer_is_as_documented_for_a_long_time(hub: Hub, soak: bool) -> None:
    if not soak:
        pytest.skip("the soak asks for longer, with random seeds")
    seed = random.SystemRandom().randrange(2**32)
    await hub.asked("admin", "--phases=examples,coverage,fuzzing,stateful", "--max-examples=50", f"--seed={seed}")
    await hub.asked("manager", "--phases=fuzzing", "--max-examples=20", f"--seed={seed}")
