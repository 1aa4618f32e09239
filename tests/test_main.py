"""What an operator gets wrong is answered with one sentence and an exit code, never with a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from engines import folder

ROOT = Path(__file__).parents[1]

NOWHERE = {"HUB_DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "HUB_KAFKA": "127.0.0.1:1", "HUB_SECRET": "secret"}


def refused(data: Path, *arguments: str, code: int = 2, environment: Mapping[str, str] | None = None) -> str:
    """Run main.py, which must exit with this code and one line; gives the line."""
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    outcome = subprocess.run(
        command,
        env=os.environ | {"HUB_DATA": str(data)} | dict(environment or {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.returncode == code, outcome.stderr
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, outcome.stderr
    assert not outcome.stdout
    return lines[0]


def test_an_unknown_setting_names_those_there_are(tmp_path: Path) -> None:
    assert "HUB_PRT is not a setting. Settings are: HUB_HOST" in refused(tmp_path, "hub", environment={"HUB_PRT": "1"})


def test_engines_without_a_secret(tmp_path: Path) -> None:
    line = refused(tmp_path, "hub", environment={name: NOWHERE[name] for name in ("HUB_DATABASE_URL", "HUB_KAFKA")})
    assert line == "HUB_SECRET is required when HUB_DATABASE_URL or HUB_KAFKA is set."


def test_one_engine_of_two(tmp_path: Path) -> None:
    assert "go together" in refused(
        tmp_path, "worker", environment={name: NOWHERE[name] for name in ("HUB_KAFKA", "HUB_SECRET")}
    )


@pytest.mark.parametrize("command", ["hub", "worker", "relay", "migrate", "newlog", "demo", "token ada", "dead list"])
def test_no_engines_and_nothing_running(tmp_path: Path, command: str) -> None:
    assert refused(tmp_path, *command.split()).startswith(f"Nothing runs on {tmp_path}: start `main.py up` first")


def test_postgres_that_cannot_be_reached(tmp_path: Path) -> None:
    assert refused(tmp_path, "migrate", code=1, environment=NOWHERE).startswith("Postgres cannot be reached")


def test_kafka_that_cannot_be_reached(tmp_path: Path, database: str) -> None:
    line = refused(tmp_path, "migrate", code=1, environment=NOWHERE | {"HUB_DATABASE_URL": database})
    assert line.startswith("Kafka cannot be reached")


def test_an_unknown_agent(tmp_path: Path, database: str) -> None:
    line = refused(tmp_path, "rebuild", "nobody", environment=NOWHERE | {"HUB_DATABASE_URL": database})
    assert "There is no agent 'nobody'. Agents are: audit" in line


def test_a_token_for_nobody(tmp_path: Path, database: str) -> None:
    line = refused(tmp_path, "token", "nobody", environment=NOWHERE | {"HUB_DATABASE_URL": database})
    assert line == "There is no user 'nobody'."


@pytest.mark.parametrize("setting", ["HUB_PORT", "HUB_WORKER_PORT"])
def test_up_on_a_taken_port(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        free = {"HUB_PORT": "0", "HUB_WORKER_PORT": "0"}
        line = refused(tmp_path, "up", environment=free | {setting: str(port)})
    assert line == f"Port {port} on 127.0.0.1 is taken: set {setting} to another one."


def test_up_on_a_folder_in_use(tmp_path: Path) -> None:
    with folder.locked(tmp_path):
        line = refused(tmp_path, "up")
    assert line == f"The data folder {tmp_path} is in use by process {os.getpid()}; stop it or set HUB_DATA."


def test_up_without_the_brokers_program_leaves_nothing_running(tmp_path: Path) -> None:
    line = refused(tmp_path, "up", environment={"HUB_PORT": "0", "HUB_WORKER_PORT": "0", "CALF_TANSU_BIN": "/nowhere"})
    assert line.startswith("The embedded broker's program cannot be had")
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
