"""`docs/asyncapi.yaml` against the records of a running system, topic by topic."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from engines import folder
from streams import topics
from tests.system.description import DESCRIPTION, described_as
from tests.system.stack import Stack

#: What there is to see on a running system of one hub.
KINDS = {
    "change",
    "activity",
    "dead",
    "command",
    "deadCommand",
    "jobStep",
    "jobEnded",
    "publicationHeaders",
    "tickHeaders",
    "hub.node.hello",
    "hub.node.heartbeat",
    "hub.node.present",
}


async def everything(stack: Stack, kinds: set[str]) -> Counter[str]:
    """Read every topic of the description from its beginning until each kind of record was seen."""
    prefix = stack.given.get("HUB_KAFKA_PREFIX", "")
    names = [channel["address"] for channel in DESCRIPTION["channels"].values()]
    consumer = AIOKafkaConsumer(bootstrap_servers=folder.addresses(stack.data).kafka)
    seen: Counter[str] = Counter()
    async with consumer, asyncio.timeout(60):
        consumer.assign([TopicPartition(prefix + name, p) for name in names for p in range(topics.PARTITIONS)])
        await consumer.seek_to_beginning()
        while not kinds <= seen.keys():
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    seen[described_as(place.topic.removeprefix(prefix), record)] += 1
    return seen


async def make_rare_records(stack: Stack) -> None:
    """An activity, an event no agent can derive from, a command that makes no sense, a publication from
    outside, a job.
    """
    connection = await asyncpg.connect(stack.database)
    try:
        await connection.execute(
            """INSERT INTO crm_activities (object_type, object_id, action, description)
               VALUES ('lead', '1', 'commented', 'Called about the offer')"""
        )
        await connection.execute(
            """INSERT INTO events (topic, key, type, subject, data)
               VALUES ('crm.changes', 'lead:1', 'lead.updated', 'lead:1', '{"before": null, "after": null}')"""
        )
    finally:
        await connection.close()
    prefix = stack.given.get("HUB_KAFKA_PREFIX", "")
    async with AIOKafkaProducer(bootstrap_servers=folder.addresses(stack.data).kafka) as producer:
        command = {"method": "publish", "payload": {"channel": "unheard:of", "data": 1}}
        await producer.send_and_wait(prefix + topics.API.name, orjson.dumps(command))
    async with aiohttp.ClientSession(stack.url) as http:
        async with http.post("/api/auth/login/", json={"username": "ada", "password": "switchboard-demo"}) as reply:
            headers = {"Authorization": f"Bearer {(await reply.json())['access']}"}
        body = {"channel": "news", "data": {"text": "hello"}}
        async with http.post("/api/v1/publish/", json=body, headers=headers) as reply:
            assert reply.status == 200, await reply.text()
        bulk = {"ids": list(range(1, 502)), "action": "update", "data": {"priority": "low"}}
        async with http.post("/api/v1/leads/bulk_update/", json=bulk, headers=headers) as reply:
            assert reply.status == 202, await reply.text()


async def test_every_record_is_as_described(stack: Stack, tmp_path: Path) -> None:
    await make_rare_records(stack)
    seen = await everything(stack, KINDS)
    assert seen["change"] > 800, seen  # the demo's records


def test_the_description_names_topics_that_exist() -> None:
    known = {topic.name for topic in topics.TOPICS}
    assert {channel["address"] for channel in DESCRIPTION["channels"].values()} <= known
