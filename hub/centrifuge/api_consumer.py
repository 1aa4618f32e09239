"""Commands from the topic `hub.api`, for backends that write to Kafka anyway: each is done by one node.

All nodes are one consumer group. A partition's commands are done in order, each as often as it takes until it is done
or turns out to be wrong; then the position is committed. So a crash repeats commands and loses none, and what they say
counts once for five minutes. A wrong one is told on `hub.dead`, and the next one follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import asyncpg
import structlog
from aiohttp import web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from prometheus_client import Counter

from hub.centrifuge.api import API as APIS
from hub.centrifuge.api_parts import Api
from hub.centrifuge.api_record import Consumed, command
from hub.centrifuge.api_request import ApiError
from hub.centrifuge.codec import Malformed
from hub.centrifuge.codes import INTERNAL_ERROR
from hub.errors import unavailable
from hub.keys import POOL, SETTINGS
from hub.publish import PUBLISHER, Publish, Publisher
from models import events
from models.events import NewEvent
from streams import kafka
from streams.topics import API, DEAD

log = structlog.get_logger()

#: The consumer group of all nodes, without prefix.
GROUP = "switchboard.hub-api"

#: Seconds until something that failed for the moment is tried again.
RETRY = 1.0

#: Milliseconds a poll waits; it returns as soon as there is anything.
POLL = 1_000

#: Records taken at a time, and characters of an error that are kept.
MOST, LONGEST_ERROR = 500, 2_000

#: Seconds for Postgres to take what goes to `hub.dead`.
PATIENCE = 5.0

RECORDS = Counter("hub_api_records_total", "Records of hub.api, by what became of them", ["outcome"])


class Consumer:
    """This node's share of the topic."""

    def __init__(
        self, api: Api, pool: asyncpg.Pool, member: Callable[[], AbstractAsyncContextManager[AIOKafkaConsumer]]
    ) -> None:
        self._api = api
        self._pool = pool
        self._member = member

    async def run(self) -> None:
        """Do what is asked, until cancelled."""
        while True:
            try:
                async with self._member() as consumer:
                    while True:
                        await self._step(consumer)
            except (KafkaError, OSError) as error:
                log.warning("api_consumer_interrupted", error=repr(error))
                await asyncio.sleep(RETRY)

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        found = await consumer.getmany(timeout_ms=POLL, max_records=MOST)
        done = await asyncio.gather(*(self._take(records) for records in found.values()))
        nexts: dict[TopicPartition, int] = dict(zip(found, done, strict=True))
        try:
            if nexts:
                await consumer.commit(nexts)
            behind = {place: next for place, next in nexts.items() if next <= found[place][-1].offset}
            for place, next in behind.items():
                consumer.seek(place, next)
        except (KafkaError, IllegalStateError) as error:  # the partition is another node's now, which does them again
            log.info("api_consumer_not_committed", error=repr(error))
            return
        if behind:
            await asyncio.sleep(RETRY)

    async def _take(self, records: Sequence[Consumed]) -> int:
        """Do the commands of a partition in order; the offset of the first that must be tried again, or the next."""
        for record in records:
            if not await self._do(record):
                return int(record.offset)
        return int(records[-1].offset) + 1

    async def _do(self, record: Consumed) -> bool:
        """Whether a command is settled: done, or set aside."""
        try:
            mistakes = _mistakes(await command(record)(self._api))
        except Malformed as error:
            mistakes = {str(error): 0}
        except ApiError as error:
            mistakes = {error.error.message: error.error.code}
        except Exception as error:  # ours; it must not hold up what follows
            log.exception("api_command_failed", partition=record.partition, offset=record.offset)
            mistakes = {repr(error): 0}
        if INTERNAL_ERROR.code in mistakes.values():
            RECORDS.labels("retried").inc()
            return False
        if mistakes:
            RECORDS.labels("dead").inc()
            await self._bury(record, "; ".join(mistakes)[:LONGEST_ERROR])
        else:
            RECORDS.labels("done").inc()
        return True

    async def _bury(self, record: Consumed, error: str) -> None:
        """Tell on `hub.dead`, by way of `events`; while Postgres is away, in the log alone."""
        place = {"partition": record.partition, "offset": record.offset}
        log.error("api_command_dead", **place, error=error)
        try:
            async with asyncio.timeout(PATIENCE), self._pool.acquire() as connection:
                await events.write(connection, [_announcement(place, error)])
        except Exception as failure:
            if not unavailable(failure):
                raise
            log.warning("api_command_dead_not_told", **place, error=repr(failure))


def _mistakes(result: Any) -> dict[str, int]:
    """What went wrong in the channels of a broadcast: messages with their codes."""
    errors = [response["error"] for response in result.get("responses", ()) if "error" in response]
    return {error["message"]: error["code"] for error in errors}


def _announcement(place: dict[str, int], error: str) -> NewEvent:
    key = f"{API.name}:{place['partition']}:{place['offset']}"
    # Postgres has no NUL in JSON.
    data = {"topic": API.name, **place, "error": error.replace("\0", "")}
    return NewEvent(topic=DEAD.name, key=key, type="api.gave_up", subject=key, data=data)


async def keep_consuming(app: web.Application) -> AsyncIterator[None]:
    """This node's share of `hub.api`, from the start of an application to its end; needs its server API.

    Nobody waits for the group to take the node in.
    """
    api = replace(app[APIS], publish=partial(_send, app[PUBLISHER]))
    consumer = Consumer(api, app[POOL], partial(kafka.member, app[SETTINGS], GROUP, API.name))
    running = asyncio.create_task(consumer.run())
    yield
    running.cancel()
    await asyncio.wait({running})


async def _send(publisher: Publisher, publish: Publish) -> None:
    """Nobody hears the number."""
    await publisher.send(publish)
