"""docker-compose.yml and the Dockerfile agree with the settings and with each other."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

import main
import settings as settings_module

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


def settings_of(service: str) -> settings_module.Settings:
    """The settings a container would read."""
    image = dict(re.findall(r"(HUB_\w+)=(\S+)", (ROOT / "Dockerfile").read_text()))
    return settings_module.read(image | {name: str(value) for name, value in SERVICES[service]["environment"].items()})


@pytest.mark.parametrize("service", OURS)
def test_every_setting_exists_and_the_engines_are_those_of_the_file(service: str) -> None:
    settings = settings_of(service)
    database, postgres = urlsplit(settings.database_url), SERVICES["postgres"]["environment"]
    assert database.hostname == "postgres"
    assert database.path == f"/{postgres['POSTGRES_DB']}"
    assert (database.username, database.password) == (postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"])
    assert SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{settings.kafka}"
    assert settings.host == "0.0.0.0"
    assert settings.smtp == "mailpit:1025"
    assert "mailpit" in SERVICES


def test_ports_are_those_listened_on() -> None:
    exposed = re.search(r"EXPOSE (.*)", (ROOT / "Dockerfile").read_text())
    assert exposed is not None
    assert exposed[1].split() == [str(settings_of("hub").port), str(settings_of("worker").worker_port)]
    assert SERVICES["hub"]["ports"] == [f"{settings_of('hub').port}:{settings_of('hub').port}"]
    assert SERVICES["worker"]["expose"] == [str(settings_of("worker").worker_port)]


@pytest.mark.parametrize("service", OURS)
def test_commands_are_those_of_the_command_line(service: str) -> None:
    assert isinstance(main.parser().parse_args(SERVICES[service]["command"].split()), argparse.Namespace)


def test_the_image_has_every_folder_that_is_imported() -> None:
    copied = re.findall(r"^COPY (\S+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests", "bench", "examples"}
    assert packages <= set(copied)
