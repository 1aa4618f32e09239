"""Publishing from outside: `POST /api/v1/publish/`.

The record goes straight to `hub.publications`, not through Postgres. It is accepted once Kafka has acknowledged it;
then the answer waits a moment for this node's own fold, which knows the number it got. A repeat with the same key is
one more record in the log, which every node counts once, and it is answered with the first one's place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

import orjson
import structlog
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from actors.kernel import ActorError
from hub.body import Anything, Body, Printable
from hub.errors import Forbidden, Refusal
from hub.fold import FOLD
from hub.keys import NAMESPACES, SETTINGS
from hub.openapi.operation import Operation, Parameter, documented
from hub.openapi.shapes import NUMBER, TEXT, fields, nullable
from hub.requests import read_object
from hub.responses import respond
from models.resources.mistakes import Invalid, Mistake
from models.resources.resource import NULL, REQUIRED, Field
from streams import kafka
from streams.envelope import LARGEST_DATA, PUBLICATION, Headers, publication_headers
from streams.topics import PUBLICATIONS, partition_of

log = structlog.get_logger()

#: Seconds the broker has to acknowledge before the outcome is called unknown.
ACK_PATIENCE = 10.0

#: Seconds to wait for this node's fold after that.
FOLD_PATIENCE = 2.0

#: Longest channel name and key, in characters.
LONGEST_NAME = 255

#: Channels only agents write to: what is said there follows from the database.
OF_AGENTS = ("lead:", "contact:", "opportunity:", "task:", "timeline:", "job:", "campaign:", "widget:", "dashboard:")

BODY = Body(
    Field("channel", Printable(LONGEST_NAME, plain=True), REQUIRED),
    Field("data", Anything(), REQUIRED | NULL),
    Field("idempotency_key", Printable(LONGEST_NAME), NULL),
)
#: Epoch and offset; nulls while the fold is behind.
PLACE = fields(epoch=nullable(TEXT), offset=nullable(NUMBER))

PUBLISHES = Counter("hub_publishes_total", "Publishes from outside", ["outcome"])

#: Epoch and offset of a record of a channel, by its id, once this node has folded it.
Settled = Callable[[str, str], Awaitable[tuple[str, int]]]


class OutcomeUnknown(Refusal):
    """Temporary: the log did not acknowledge, the outcome is unknown. Try again with the same idempotency_key."""

    status = 503
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "1"}


class ReservedChannel(Forbidden):
    """What is said on the channel of a record follows from the record; nobody may publish there."""


@dataclass(frozen=True, kw_only=True)
class Publish:
    """What somebody wants to say."""

    channel: str
    #: Any JSON.
    payload: bytes
    #: Tells repeats apart, per channel, for five minutes.
    id: str
    #: The client that says it, as JSON.
    info: bytes | None = None
    #: Texts by name, as JSON.
    tags: bytes | None = None
    #: To be delivered, and in no history afterwards.
    transient: bool = False
    #: Counts only if its channel has seen no such or later version of the same epoch; 0 counts always.
    version: int = 0
    version_epoch: str = ""
    #: May be sent as a delta to clients that asked for them.
    delta: bool = False


class Publisher:
    """Puts publications on the log and says which number they got. `topic` is the physical name."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, settled: Settled) -> None:
        self._producer = producer
        self._topic = topic
        self._settled = settled

    async def publish(self, publish: Publish) -> tuple[str, int] | None:
        """Epoch and offset; None if it is on the log but this node has not folded it yet. Raises OutcomeUnknown."""
        await self.send(publish)
        try:
            async with asyncio.timeout(FOLD_PATIENCE):
                place = await self._settled(publish.channel, publish.id)
        except (TimeoutError, ActorError):  # the node is behind, or stops: the record is on the log all the same
            log.warning("publish_not_folded_in_time", channel=publish.channel)
            PUBLISHES.labels("folding").inc()
            return None
        PUBLISHES.labels("settled").inc()
        return place

    async def send(self, publish: Publish) -> None:
        """Put it on the log; done when Kafka has acknowledged it. Raises OutcomeUnknown."""
        try:
            async with asyncio.timeout(ACK_PATIENCE):
                acknowledged = await self._producer.send(
                    self._topic,
                    publish.payload,
                    key=publish.channel.encode(),
                    partition=partition_of(publish.channel),
                    headers=_headers(publish),
                )
                # A request given up must not take back a batch that others share.
                await asyncio.shield(acknowledged)
        except (KafkaError, TimeoutError) as error:
            log.warning("publish_not_acknowledged", channel=publish.channel, error=repr(error))
            PUBLISHES.labels("unknown").inc()
            raise OutcomeUnknown from None


def _headers(publish: Publish) -> Headers:
    return publication_headers(
        type=PUBLICATION,
        id=publish.id,
        time=datetime.now(UTC),
        info=publish.info,
        tags=publish.tags,
        transient=publish.transient,
        version=publish.version,
        version_epoch=publish.version_epoch,
        delta=publish.delta,
    )


def of_agents(channel: str) -> bool:
    """Whether only agents write to this channel."""
    return channel.startswith(OF_AGENTS)


PUBLISHER = web.AppKey("publisher", Publisher)


async def keep_publishing(app: web.Application) -> AsyncIterator[None]:
    """The publisher of an application, from its start to its end; needs its fold."""
    settings = app[SETTINGS]
    async with kafka.producer(settings) as producer:
        app[PUBLISHER] = Publisher(producer, settings.kafka_prefix + PUBLICATIONS.name, app[FOLD].settled)
        yield


@documented(
    Operation(
        body=BODY.shape,
        answers={200: PLACE, 202: PLACE},
        parameters=(Parameter(name="Idempotency-Key", place="header", about="In place of idempotency_key."),),
        refusals=(ReservedChannel, OutcomeUnknown),
    )
)
async def publish(request: web.Request) -> web.Response:
    """Publish `data` on `channel`; answers its epoch and offset, or 202 with nulls while the fold is still behind."""
    wanted = parse(await read_object(request), request.headers.get("Idempotency-Key"))
    options = request.app[NAMESPACES].options(wanted.channel)
    if options is None:
        raise Invalid({"channel": [f"{wanted.channel} is in a namespace that is not configured."]})
    place = await request.app[PUBLISHER].publish(replace(wanted, delta=options.delta_publish))
    epoch, offset = place or (None, None)
    return respond({"epoch": epoch, "offset": offset}, status=200 if place else 202)


def parse(body: Mapping[str, Any], header: str | None) -> Publish:
    """The publish that a body and an Idempotency-Key header ask for. Raises Invalid or ReservedChannel."""
    given = BODY.read(body)
    key = given.get("idempotency_key")
    mistakes = {}
    if header is not None:
        try:
            Printable(LONGEST_NAME).read(header)
        except Mistake as mistake:
            mistakes["Idempotency-Key"] = [str(mistake)]
        if key not in (None, header):
            mistakes["idempotency_key"] = ["Differs from the Idempotency-Key header."]
    payload = orjson.dumps(given["data"])
    if len(payload) > LARGEST_DATA:
        mistakes["data"] = [f"May have at most {LARGEST_DATA:,} bytes as compact JSON."]
    if mistakes:
        raise Invalid(mistakes)
    channel: str = given["channel"]
    if of_agents(channel):
        raise ReservedChannel
    return Publish(channel=channel, payload=payload, id=key or header or str(uuid4()))
