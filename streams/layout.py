"""The topics as they stand on a broker: which there are, making them, replacing them, where they end.

Brokers make a topic when a client asks for it by name, so topics are always listed before they are described.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from settings import Settings
from streams import kafka
from streams.topics import PARTITIONS

log = structlog.get_logger()

#: How long Kafka keeps a record, and `events` a publication that has been produced, in days.
RETENTION_DAYS = 7
#: Largest batch a topic takes: room for the largest we send.
MESSAGE_BYTES = 1_048_588

#: (topic without prefix, partition)
Partition = tuple[str, int]


class LayoutError(Exception):
    """The broker refused to make or delete a topic."""


async def partitions(admin: AIOKafkaAdminClient, settings: Settings, names: Iterable[str]) -> dict[str, int]:
    """How many partitions each of these topics has; 0 for one that is not there."""
    prefix = settings.kafka_prefix
    there = set(await admin.list_topics())
    counts = dict.fromkeys(names, 0)
    if known := [prefix + name for name in counts if prefix + name in there]:
        for topic in await admin.describe_topics(known):
            counts[topic["topic"].removeprefix(prefix)] = len(topic["partitions"])
    return counts


async def make(
    admin: AIOKafkaAdminClient, settings: Settings, names: Iterable[str], *, within: float = 30.0
) -> set[str]:
    """Make topics, wait until the broker shows them, and return those that were there before. Raises LayoutError."""
    names = list(names)
    copies = settings.kafka_replication
    configs = {
        "retention.ms": str(RETENTION_DAYS * 24 * 3600 * 1000),
        "max.message.bytes": str(MESSAGE_BYTES),
        "min.insync.replicas": "2" if copies >= 3 else "1",
    }
    wanted = [NewTopic(settings.kafka_prefix + name, PARTITIONS, copies, topic_configs=configs) for name in names]
    answer = (await admin.create_topics(wanted)).to_object()
    outcomes = {topic["topic"]: for_code(topic["error_code"]) for topic in answer["topic_errors"]}
    before = {topic for topic, error in outcomes.items() if error is TopicAlreadyExistsError}
    _refuse(outcomes, "make", accepted=TopicAlreadyExistsError)
    async with asyncio.timeout(within):
        while True:
            if all((await partitions(admin, settings, names)).values()):
                break
            await asyncio.sleep(0.05)
    return {topic.removeprefix(settings.kafka_prefix) for topic in before}


async def replace(
    admin: AIOKafkaAdminClient, settings: Settings, names: Iterable[str], *, within: float = 60.0
) -> None:
    """Delete the topics and make them anew, again until all are ours: a client still running may have remade one.

    Raises LayoutError, and TimeoutError when they keep coming back.
    """
    names = list(names)
    async with asyncio.timeout(within):
        while True:
            there = [name for name, count in (await partitions(admin, settings, names)).items() if count]
            if there:
                answer = (await admin.delete_topics([settings.kafka_prefix + name for name in there])).to_object()
                outcomes = {t["topic"]: for_code(t["error_code"]) for t in answer["topic_error_codes"]}
                _refuse(outcomes, "delete", accepted=UnknownTopicOrPartitionError)
            if not (remade := await make(admin, settings, names)):
                return
            log.info("topics_not_replaced_yet", topics=sorted(remade))
            await asyncio.sleep(0.2)


async def ends(settings: Settings, names: Iterable[str], *, within: float = 30.0) -> dict[Partition, int]:
    """The end offset of each partition, once each has a leader. Raises TimeoutError."""
    wanted = {
        TopicPartition(settings.kafka_prefix + name, partition): (name, partition)
        for name in names
        for partition in range(PARTITIONS)
    }
    async with asyncio.timeout(within), kafka.consumer(settings, fetch_wait=settings.tail_fetch_wait) as consumer:
        while True:
            try:
                found = await consumer.end_offsets(wanted)
                return {wanted[place]: offset for place, offset in found.items()}
            except KafkaError as error:  # a topic just made may have no leader yet
                log.info("topics_not_ready_yet", error=repr(error))
                await asyncio.sleep(0.1)


def _refuse(outcomes: Mapping[str, type[KafkaError]], verb: str, *, accepted: type[KafkaError]) -> None:
    for topic, error in outcomes.items():
        if error not in (NoError, accepted):
            raise LayoutError(f"Kafka does not {verb} the topic {topic}: {error.__name__}.")
