"""Real engines for tests: one broker of each kind per run, one Postgres per process, a database and a prefix per test.

A run may have several processes (`-n`). The one that hands out the tests then starts the brokers and tells the others.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import hypothesis
import pytest

import settings as settings_module
from engines.broker import Broker
from engines.postgres import APPLICATION, Postgres
from models import migrate
from streams import kafka as streams_kafka
from tests.system.kafka import Kafka, KafkaUnavailable

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

#: A Kafka of the caller's own; every other HUB_ variable is removed, so that none leaks into a test.
GIVEN = os.environ.get("HUB_KAFKA", "")
for name in [name for name in os.environ if name.startswith("HUB_")]:
    del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--brokers", default="embedded,apache", help="brokers to test on, of embedded and apache")
    parser.addoption("--soak", action="store_true", help="the fault proofs at full size, with random seeds")


def pytest_configure(config: pytest.Config) -> None:
    # The same examples each time, so that a red test is red for its author; the soak looks for new ones, and for more
    # of them (`tests/examples.py`).
    hypothesis.settings.register_profile("test", derandomize=True, deadline=None)
    hypothesis.settings.register_profile("soak", deadline=None, max_examples=1000)
    hypothesis.settings.load_profile("soak" if config.getoption("--soak") else "test")
    config.addinivalue_line("markers", "one_broker: about Postgres or ourselves, so it runs on one broker only")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, so that no process of the run is left alone with one at the end.

    But not the one about Faust itself, which has no watchdog there and stalls the more the busier the machine is.
    """
    items.sort(key=lambda item: "tests/system/" not in item.nodeid or "test_faust_on_kafka" in item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a process of the run the brokers, which the first one to be given them starts."""
    if SHARED not in node.config.stash:
        node.config.stash[SHARED] = Shared(_kinds(node.config))
    node.workerinput["brokers"] = node.config.stash[SHARED].told


def pytest_unconfigure(config: pytest.Config) -> None:
    if SHARED in config.stash:
        config.stash[SHARED].stop()


def _kinds(config: pytest.Config) -> list[str]:
    """The brokers to test on."""
    return ["given"] if GIVEN else str(config.getoption("--brokers")).split(",")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kafka" in metafunc.fixturenames:
        kinds = _kinds(metafunc.config)
        if metafunc.definition.get_closest_marker("one_broker"):
            kinds = kinds[:1]
        metafunc.parametrize("kafka", kinds, indirect=True)


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Whether this is the soak: more kills, more rows, other seeds."""
    return bool(pytestconfig.getoption("--soak"))


@pytest.fixture(scope="session")
def run() -> Iterator[Run[Any]]:
    """Runs a coroutine on the loop of the session's engines."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner.run


@pytest.fixture(scope="session")
def postgres(run: Run[Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The run's server. Its disk is trusted not to fail: kill -9 of a process needs no fsync."""
    folder = tmp_path_factory.mktemp("engines")
    server = Postgres(folder / "postgres", log=folder / "postgres.log", options={"fsync": "off"})
    run(server.start())
    yield server
    run(server.stop())


@pytest.fixture(scope="session")
def template(run: Run[Any], postgres: Postgres) -> str:
    """Name of a migrated, empty database."""
    run(migrate.migrate(postgres.url()))
    return APPLICATION


@pytest.fixture
def database(run: Run[Any], postgres: Postgres, template: str) -> Iterator[str]:
    """URL of a fresh migrated database, as the application's role."""
    name = f"test_{secrets.token_hex(4)}"
    admin = postgres.url("postgres", admin=True)
    run(_execute(admin, f"CREATE DATABASE {name} TEMPLATE {template} OWNER {APPLICATION} STRATEGY file_copy"))
    yield postgres.url(name)
    run(_execute(admin, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _delete_topics(address: str, prefix: str) -> None:
    async with streams_kafka.admin(settings_module.Settings(kafka=address)) as admin:
        if topics := [topic for topic in await admin.list_topics() if topic.startswith(prefix)]:
            await admin.delete_topics(topics)


class Brokers:
    """The run's brokers, each started when first asked for, unless it is running elsewhere already."""

    def __init__(self, run: Run[Any], folder: Path, running: Mapping[str, str], refused: str = "") -> None:
        self._run = run
        self._folder = folder
        self._started: list[Broker | Kafka] = []
        #: Bootstrap address by kind.
        self.addresses = dict(running)
        #: Why there is no Apache Kafka.
        self.refused = refused

    def address(self, kind: str) -> str:
        """Bootstrap address of a broker of this kind; skips the test when it cannot be had."""
        if kind == "given":
            return GIVEN
        if kind not in self.addresses and not self.refused:
            self.start(kind)
        if kind not in self.addresses:
            pytest.skip(self.refused)
        return self.addresses[kind]

    def start(self, kind: str) -> None:
        """Start one of this kind, or note why it cannot be had."""
        broker = Broker(self._folder / f"{kind}.log") if kind == "embedded" else Kafka()
        try:
            self._run(broker.start())
        except KafkaUnavailable as error:
            self.refused = f"no Apache Kafka here: {error}"
            return
        self._started.append(broker)
        self.addresses[kind] = broker.address

    def sweep(self, prefix: str) -> None:
        """Delete a test's topics: every client asks for all there are as it starts, which would take ever longer."""
        for address in [GIVEN] if GIVEN else self.addresses.values():
            self._run(_delete_topics(address, prefix))

    def stop(self) -> None:
        """Stop those that were started here."""
        for broker in self._started:
            self._run(broker.stop())


class Shared:
    """The brokers of a run that has several processes."""

    def __init__(self, kinds: list[str]) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._brokers = Brokers(self._runner.run, Path(tempfile.mkdtemp(prefix="brokers-")), {})
        for kind in kinds:
            if kind != "given":
                self._brokers.start(kind)

    @property
    def told(self) -> tuple[dict[str, str], str]:
        """What the other processes need to know: addresses by kind, and why there is no Apache Kafka."""
        return self._brokers.addresses, self._brokers.refused

    def stop(self) -> None:
        """Stop them."""
        self._brokers.stop()
        self._runner.close()


SHARED = pytest.StashKey[Shared]()


@pytest.fixture(scope="session")
def brokers(run: Run[Any], tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Brokers]:
    """The run's brokers, for a test that wants one by name."""
    running, refused = getattr(pytestconfig, "workerinput", {}).get("brokers", ({}, ""))
    held = Brokers(run, tmp_path_factory.mktemp("brokers"), running, refused)
    yield held
    held.stop()


@pytest.fixture
def kafka(request: pytest.FixtureRequest, brokers: Brokers) -> str:
    """Bootstrap address; a test that asks for it runs once on each broker (`--brokers`, HUB_KAFKA)."""
    return brokers.address(request.param)


@pytest.fixture
def prefix(brokers: Brokers) -> Iterator[str]:
    """A kafka_prefix of this test's own."""
    prefix = f"t{secrets.token_hex(4)}."
    yield prefix
    brokers.sweep(prefix)


@pytest.fixture
def settings(database: str, kafka: str, prefix: str, tmp_path: Path) -> settings_module.Settings:
    """Settings over a fresh database and this test's own topics, with fetch waits that suit every broker."""
    return settings_module.Settings(
        database_url=database,
        kafka=kafka,
        kafka_prefix=prefix,
        port=0,
        worker_port=0,
        data=tmp_path / "data",
        secret="a secret for tests, long enough for HS256",
        agent_fetch_wait=20,
        tail_fetch_wait=5,
        user_rate=0,
        address_rate=0,
    )
