"""The voice of a node: puts what it says on `hub.control`, numbered, in order.

A record that Kafka does not acknowledge leaves a hole in the numbers if it was lost. Whoever hears that knows what to
do (`actors.roster`), so nothing is said twice here.
"""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from hub.control_records import headers
from streams.topics import partition_of

log = structlog.get_logger()

#: Seconds the broker has to acknowledge.
PATIENCE = 10.0

SAID = Counter("hub_control_said_total", "Records this node has put on hub.control", ["type"])


class Voice:
    """What one node says. `topic` is the physical name."""

    def __init__(self, node: str, producer: AIOKafkaProducer, topic: str) -> None:
        self._node = node
        self._producer = producer
        self._topic = topic
        self._n = 0
        self._turn = asyncio.Lock()

    async def say(self, type: str, value: bytes = b"", **attributes: str) -> bool:
        """Put a record on the log; whether it was acknowledged. If not, the outcome is unknown."""
        try:
            async with asyncio.timeout(PATIENCE):
                async with self._turn:
                    self._n += 1
                    acknowledged = await self._producer.send(
                        self._topic,
                        value,
                        key=self._node.encode(),
                        partition=partition_of(self._node),
                        headers=headers(type, self._node, self._n, **attributes),
                    )
                # A request given up must not take back a batch that others share.
                await asyncio.shield(acknowledged)
        except (KafkaError, TimeoutError) as error:
            log.warning("control_not_acknowledged", type=type, error=repr(error))
            return False
        SAID.labels(type).inc()
        return True
