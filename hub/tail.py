"""The tail: reads `hub.publications` as it grows and gives every record to the actor of its partition.

No consumer group: every node reads everything. A position is only good in the log it was taken in, so a node that
goes on from a snapshot first reads the record the snapshot stands on and compares; an offset the log does not have
means that it is another log. Then the node stops rather than guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from prometheus_client import Counter, Gauge

from actors.log import State
from actors.messages import Apply
from actors.partition import Partition
from hub.publications import decode
from streams.log import LogError

log = structlog.get_logger()

#: Records folded before others on the loop get a turn.
TURN = 1_000

#: Seconds a poll waits; it returns as soon as there is anything.
POLL = 1.0

RECORDS = Counter("hub_records_total", "Records of the publications log that were folded")
BEHIND = Gauge("hub_behind_records", "Records of the publications log not folded yet", ["partition"])

Consumed = ConsumerRecord[bytes | None, bytes | None]


class Tail:
    """Follows all partitions of one topic from where their states stand."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        partitions: Sequence[Partition],
        states: Sequence[State],
        *,
        beside: Mapping[TopicPartition, int],
    ) -> None:
        """`states` are those the partitions begin with. `beside` are positions of other partitions that the consumer
        is to have; others poll them.
        """
        self._consumer = consumer
        self._topic = topic
        self._partitions = partitions
        self._places = [TopicPartition(topic, p) for p in range(len(partitions))]
        self._beside = beside
        #: Offset and timestamp of the record each partition's snapshot stands on, until it was compared.
        self._stands_on = {p: (state.next - 1, state.timestamp) for p, state in enumerate(states) if state.timestamp}
        #: Kafka offset of the next record of each partition.
        self.next = [state.next for state in states]
        #: The relay's number of the last numbered record of each partition.
        self.marks = [state.mark for state in states]
        #: Partitions that lack numbers of the relay, and after which.
        self.holes: dict[int, int] = {}
        self._moved = asyncio.Event()

    def places(self) -> list[TopicPartition]:
        """All partitions."""
        return self._places

    async def begin(self) -> None:
        """Take up the positions. Raises LogError if the log does not have them."""
        self._consumer.assign([*self.places(), *self._beside])
        for place, position in self._beside.items():
            self._consumer.seek(place, position)
        beginnings = await self._consumer.beginning_offsets(self.places())
        ends = await self._consumer.end_offsets(self.places())
        for place in self.places():
            next, beginning, end = self.next[place.partition], beginnings[place], ends[place]
            if next > end:
                raise _another_log(place.partition, f"it ends at {end}, this node had read up to {next}")
            if next < beginning:
                raise LogError(
                    f"Partition {place.partition} of {self._topic} begins at {beginning} and its numbers are known to "
                    f"{next} only: no hub has run for longer than Kafka keeps records. Run `main.py newlog`."
                )
            if next - 1 < beginning:
                self._stands_on.pop(place.partition, None)
            first = next - 1 if place.partition in self._stands_on else next
            self._consumer.seek(place, max(beginning, min(first, self._partitions[place.partition].read_from)))

    async def reach(self, ends: Mapping[TopicPartition, int]) -> None:
        """Fold until these ends."""
        while any(self.next[place.partition] < end for place, end in ends.items()) or self._stands_on:
            await self.step()

    async def reached(self, partition: int, next: int) -> None:
        """Wait until everything before this Kafka offset is folded."""
        while self.next[partition] < next:
            await self._moved.wait()

    async def run(self) -> None:
        """Fold for ever. Raises LogError, or ActorError when a partition has failed."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Fold what there is now, or wait a while for something."""
        try:
            found = await self._consumer.getmany(*self._places, timeout_ms=round(POLL * 1000), max_records=TURN)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise LogError(f"Kafka does not have the offsets this node had read up to ({error}): {ANOTHER}") from None
        except KafkaError as error:
            log.warning("tail_interrupted", error=repr(error))
            await asyncio.sleep(POLL)
            return
        await asyncio.gather(*(self._fold(place.partition, records) for place, records in found.items()))
        self._moved.set()
        self._moved.clear()

    async def _fold(self, partition: int, records: Sequence[Consumed]) -> None:
        if partition in self._stands_on:
            self._compare(partition, records)
        folded = await self._partitions[partition].ask(Apply(records=[decode(record) for record in records]))
        self.next[partition] = folded.next
        self.marks[partition] = folded.mark
        if folded.hole is not None:
            self.holes[partition] = folded.hole.mark
        RECORDS.inc(len(records))
        if (end := self._consumer.highwater(TopicPartition(self._topic, partition))) is not None:
            BEHIND.labels(partition).set(max(0, end - folded.next))

    def _compare(self, partition: int, records: Sequence[Consumed]) -> None:
        """Whether the record a snapshot stands on, once it comes, is still the same one."""
        stands_on = self._stands_on[partition]
        reached = next((record for record in records if record.offset >= stands_on[0]), None)
        if reached is None:
            return
        if (reached.offset, reached.timestamp) != stands_on:
            raise _another_log(partition, f"record {stands_on[0]} is not the one this node's snapshot stands on")
        del self._stands_on[partition]


ANOTHER = "it is another log than the one Postgres knows. Run `main.py newlog` and start again."


def _another_log(partition: int, why: str) -> LogError:
    return LogError(f"Partition {partition} of the publications log: {why}; {ANOTHER}")
