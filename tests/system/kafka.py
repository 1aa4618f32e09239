"""Apache Kafka on loopback, for tests and by hand: `python -m tests.system.kafka --nodes 3`.

Needs Java 17 and, the first time, Maven, which brings the broker's jars into `.cache`. One or three nodes in KRaft
mode, each broker and controller at once. Data lives in a temporary folder and goes with the cluster.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import shutil
import signal
import tempfile
import uuid
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from engines import ports
from engines.child import EngineError, spawn, stop, tail

VERSION = "4.1.0"
CACHE = Path(__file__).parents[2] / ".cache" / f"kafka-{VERSION}"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>switchboard</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version></dependency>
  </dependencies>
</project>
"""

LOG4J = """
Configuration:
  Appenders: {Console: {name: out, PatternLayout: {Pattern: "%d %p %m (%c)%n"}}}
  Loggers: {Root: {level: WARN, AppenderRef: {ref: out}}}
"""

PROPERTIES = """
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=8
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={quorum}
min.insync.replicas={quorum}
"""


class KafkaUnavailable(Exception):
    """Apache Kafka cannot be had here: no Java, or its jars could not be brought."""


@dataclass(kw_only=True)
class Node:
    """One broker of the cluster."""

    id: int
    port: int
    controller: int
    folder: Path
    process: Process | None = None

    @property
    def properties(self) -> Path:
        """Its configuration file."""
        return self.folder.with_suffix(".properties")

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder.with_suffix(".log")


class Kafka:
    """A cluster of `nodes` brokers. A node killed by a test may be started again with its data."""

    def __init__(self, nodes: int = 1) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kafka-"))
        self.nodes = [
            Node(id=i, port=ports.free(), controller=ports.free(), folder=self._folder / f"node{i}")
            for i in range(1, nodes + 1)
        ]

    @property
    def address(self) -> str:
        """Bootstrap addresses, host:port[,host:port]."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    async def start(self) -> None:
        """Format the data and start every node; returns when all have joined. Raises KafkaUnavailable, EngineError."""
        await _bring()
        voters = ",".join(f"{node.id}@127.0.0.1:{node.controller}" for node in self.nodes)
        cluster = "k" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        (self._folder / "log4j2.yaml").write_text(LOG4J)
        for node in self.nodes:
            node.properties.write_text(
                PROPERTIES.format(
                    id=node.id,
                    voters=voters,
                    port=node.port,
                    controller=node.controller,
                    folder=node.folder,
                    copies=len(self.nodes),
                    quorum=len(self.nodes) // 2 + 1,
                )
            )
        await asyncio.gather(*(self._format(node, cluster) for node in self.nodes))
        await asyncio.gather(*(self.start_node(node) for node in self.nodes))
        await self._complete()

    async def start_node(self, node: Node) -> None:
        """Start one node and return once its port answers."""
        node.process = await spawn(self._java("kafka.Kafka", str(node.properties)), log=node.log)
        async with asyncio.timeout(60):
            while True:
                if node.process.returncode is not None:
                    raise EngineError(f"Kafka node {node.id} ended at once: {tail(node.log)}")
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
                except OSError:
                    await asyncio.sleep(0.1)
                    continue
                writer.close()
                return

    async def stop(self) -> None:
        """Stop all nodes and remove their data."""
        await asyncio.gather(*(stop(n.process, sign=signal.SIGKILL) for n in self.nodes if n.process is not None))
        shutil.rmtree(self._folder)

    async def _format(self, node: Node, cluster: str) -> None:
        argv = self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(node.properties))
        process = await spawn(argv, log=node.log)
        if await process.wait():
            raise EngineError(f"Kafka node {node.id} could not format its data: {tail(node.log)}")

    def _java(self, *arguments: str) -> list[str]:
        options = ["-Xmx512m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={self._folder / 'log4j2.yaml'}"]
        return ["java", *options, "-cp", f"{CACHE / 'libs'}/*", *arguments]

    async def _complete(self) -> None:
        async with asyncio.timeout(60):
            while True:
                admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
                try:
                    await admin.start()
                    if len((await admin.describe_cluster())["brokers"]) == len(self.nodes):
                        return
                except KafkaError:
                    logging.getLogger(__name__).debug("not complete yet", exc_info=True)
                finally:
                    await admin.close()
                await asyncio.sleep(0.1)


async def _bring() -> None:
    """See that the jars are in the cache. Raises KafkaUnavailable."""
    if shutil.which("java") is None:
        raise KafkaUnavailable("Java is not installed")
    if (CACHE / "libs").exists():
        return
    if shutil.which("mvn") is None:
        raise KafkaUnavailable("Maven is not installed, and the jars are not in .cache")
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "pom.xml").write_text(POM)
    new = CACHE / "libs.new"
    argv = ["mvn", "-q", "-B", "-f", str(CACHE / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={new}"]
    process = await spawn(argv, log=CACHE / "mvn.log")
    try:
        async with asyncio.timeout(300):
            failed = await process.wait()
    except TimeoutError:
        await stop(process)
        raise KafkaUnavailable("Maven did not bring the jars within 5 minutes") from None
    if failed:
        raise KafkaUnavailable(f"Maven could not bring the jars: {tail(CACHE / 'mvn.log', lines=1)}")
    new.rename(CACHE / "libs")


async def _serve(nodes: int) -> None:
    cluster = Kafka(nodes)
    try:
        await cluster.start()
        print(f"HUB_KAFKA={cluster.address}", flush=True)
        await asyncio.Event().wait()
    finally:
        await cluster.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    try:
        asyncio.run(_serve(parser.parse_args().nodes))
    except KeyboardInterrupt:
        pass
