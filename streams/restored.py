"""Whether Kafka and Postgres still tell the same story, asked by a relay before it begins.

Kafka may be another one than it was (a broker that lost its disk, topics deleted by hand): then a partition ends before
what we know to have sent. Postgres may be another one than it was (restored, or failed over with loss): then the last
numbered record of a partition carries a number or an event id that `events` does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from settings import Settings
from streams import envelope, kafka, ticks
from streams.layout import Partition
from streams.ledger import Mark
from streams.log import Log, LogError
from streams.records import BINARY
from streams.ticks import NONE_YET

log = structlog.get_logger()

#: How many records back the last numbered one is looked for, in growing steps. Ticks name it every ten seconds.
STEPS = (32, 1_024, 65_536)


@dataclass(frozen=True, kw_only=True)
class End:
    """Where a partition of the log ends."""

    #: Kafka offset of the next record.
    offset: int
    #: Number and event id of the last numbered record found, if there is one.
    last: tuple[int, int] | None
    #: Partition time by the last tick found.
    time: datetime | None


async def check(
    settings: Settings, connection: asyncpg.Connection, found: Log, marks: Mapping[Partition, Mark]
) -> dict[Partition, End]:
    """The ends of the log's partitions. Raises LogError if they do not fit `marks` and `events`, or KafkaError."""
    async with kafka.consumer(settings, fetch_wait=settings.tail_fetch_wait) as consumer:
        places = {TopicPartition(settings.kafka_prefix + topic, p): (topic, p) for topic, p in found.partitions}
        offsets = {places[place]: offset for place, offset in (await consumer.end_offsets(places)).items()}
        for place, offset in offsets.items():
            first_offset, first_n = found.partitions[place]
            sent = marks[place].sent
            if offset < first_offset + max(0, sent - first_n + 1):
                raise LogError(
                    f"{place[0]}/{place[1]} ends at offset {offset}, before what was sent to it (number {sent}): "
                    "Kafka has lost the log or is another one. Run `main.py newlog`."
                )
        ends = await _ends(settings, consumer, found, offsets)
    await _compare(connection, ends, marks)
    return ends


async def _ends(
    settings: Settings, consumer: AIOKafkaConsumer, found: Log, offsets: Mapping[Partition, int]
) -> dict[Partition, End]:
    ends = {place: End(offset=offset, last=None, time=None) for place, offset in offsets.items()}
    places = {place: TopicPartition(settings.kafka_prefix + place[0], place[1]) for place in ends}
    first = await consumer.beginning_offsets(places.values())
    begins = {place: max(first[places[place]], found.partitions[place][0]) for place in ends}
    missing = [place for place in ends if begins[place] < offsets[place]]
    for step in STEPS:
        if not missing:
            break
        starts = {place: max(begins[place], offsets[place] - step) for place in missing}
        consumer.assign([places[place] for place in missing])
        for place in missing:
            consumer.seek(places[place], starts[place])
        waiting = set(missing)
        while waiting:
            batches = await consumer.getmany(timeout_ms=200)
            for tp, records in batches.items():
                place = (tp.topic.removeprefix(settings.kafka_prefix), tp.partition)
                for record in records:
                    ends[place] = _seen(place, ends[place], record)
            waiting = {place for place in waiting if await consumer.position(places[place]) < offsets[place]}
        missing = [place for place in missing if ends[place].last is None and starts[place] > begins[place]]
    if missing:
        log.warning("no_numbered_record_near_the_end", places=missing, looked_back=STEPS[-1])
    return ends


def _seen(place: Partition, end: End, record: ConsumerRecord[bytes, bytes]) -> End:
    """The end, after one more record."""
    if place[0] not in BINARY:
        try:
            event = envelope.decode(record.value or b"", *place)
        except envelope.EnvelopeError:
            return end
        return End(offset=end.offset, last=(event.n, event.id), time=None)
    headers = envelope.attributes(record.headers)
    try:
        if headers.get("ce_type") == envelope.TICK.encode():
            last = (int(headers[ticks.LAST_N]), int(headers[ticks.LAST_ID]))
            time = datetime.fromisoformat(headers["ce_time"].decode())
            return End(offset=end.offset, last=last, time=time if end.time is None else max(time, end.time))
        if "ce_sequence" in headers:
            return End(offset=end.offset, last=(int(headers["ce_sequence"]), int(headers["ce_id"])), time=end.time)
    except (KeyError, ValueError):
        log.warning("record_not_ours", place=place, offset=record.offset)
    return end


async def _compare(
    connection: asyncpg.Connection, ends: Mapping[Partition, End], marks: Mapping[Partition, Mark]
) -> None:
    lasts = {place: end.last for place, end in ends.items() if end.last is not None and end.last != NONE_YET}
    rows = await connection.fetch(
        """SELECT w.topic, w.partition, e.id
           FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS w (topic, partition, n)
                LEFT JOIN events e ON e.topic = w.topic AND e.partition = w.partition AND e.n = w.n""",
        [topic for topic, _ in lasts],
        [partition for _, partition in lasts],
        [n for n, _ in lasts.values()],
    )
    ids = {(row["topic"], row["partition"]): row["id"] for row in rows}
    for place, (n, event_id) in lasts.items():
        mark = marks[place]
        if place[0] in BINARY and ids[place] is None and n < mark.sent:
            continue  # forgotten: of publications Kafka no longer keeps, only the last one sent is remembered
        if n > mark.numbered or ids[place] != event_id:
            raise LogError(
                f"{place[0]}/{place[1]} holds event {event_id} as number {n}, which Postgres does not know: Postgres "
                "was restored, or failed over with loss, under a live log. Run `main.py newlog`, then start again."
            )
