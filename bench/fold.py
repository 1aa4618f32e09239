"""How fast one partition folds, and how fast it hands frames to sessions, beside a bare loop in the same run.

    python -m bench.fold [--sessions 1000] [--records 200000]

Sessions have transports in memory, so this is the cost of our code without the system calls that follow it. Rates are
per second of processor time, so that a busy machine does not show.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from actors.channel import Publication, Retention
from actors.log import Record, State, apply
from actors.messages import Apply, Gap, Subscribed
from actors.partition import Partition
from actors.session import OutOfReach, Session
from actors.snapshot import decode, encode
from actors.traffic import Traffic


class Sink:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.writes = 0

    def write(self, data: bytes) -> None:
        self.writes += 1

    def writable(self) -> bool:
        return True

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)


class Plain:
    """Frames as the plain endpoints have them, near enough."""

    sent = Traffic()

    def publication(self, publication: Publication, previous: Publication | None) -> bytes:
        return b'%b,"offset":%d}' % (publication.record.payload[:-1], publication.offset)

    def after(self, sent: bool) -> Plain:
        return self

    def position(self, channel: str, epoch: str, offset: int) -> bytes:
        return b""


PAYLOAD = b'{"type":"activity_created","activity":{"id":"5f0c","description":"%b"}}' % (b"x" * 250)


def records(count: int, *, start: int = 0, channels: int = 1000, audience: bytes | None = None) -> list[Record]:
    """Agents' frames over some channels."""
    return [
        Record(
            offset=at,
            timestamp=1_790_000_000_000,
            kind="frame",
            channel=f"lead:{at % channels}",
            id=str(at),
            n=at + 1,
            payload=PAYLOAD + b"",
            audience=audience,
        )
        for at in range(start, start + count)
    ]


def state() -> State:
    return State.first("0badcafe", 0, 1)


@contextmanager
def timed(what: str, count: int, unit: str, rates: dict[str, float]) -> Iterator[None]:
    """Print how many of a unit were done in a second."""
    began = time.process_time()
    yield
    rates[what] = count / (time.process_time() - began)
    print(f"{what:<52} {rates[what]:>12,.0f} {unit}/s")


async def fold(count: int) -> None:
    """The bare fold, and a partition that remembers as well."""
    log = records(count)
    rates: dict[str, float] = {}
    counts: dict[str, int] = {}
    with timed("bare loop: count by channel", count, "records", rates):
        for record in log:
            counts[record.channel] = counts.get(record.channel, 0) + 1
    bare = state()
    with timed("fold", count, "records", rates):
        for record in log:
            apply(bare, record)
    tracemalloc.start()
    partition = make(budget=64 << 20)
    async with partition:
        before = tracemalloc.get_traced_memory()[0]
        await partition.ask(Apply(records=log[:20_000]))
        used = tracemalloc.get_traced_memory()[0] - before
        print(f"{'memory of a remembered publication beside its record':<52} {used / 20_000:>12,.0f} bytes")
    tracemalloc.stop()
    async with make(budget=64 << 20) as partition:
        with timed("partition: fold, remember, in batches of 500", count, "records", rates):
            for at in range(0, count, 500):
                await partition.ask(Apply(records=log[at : at + 500]))
    big = state()
    for record in records(250_000, channels=250_000):
        apply(big, record)
    data = b""
    with timed("snapshot of 250,000 channels: encode", 1, "snapshots", rates):
        data = encode(big)
    with timed("snapshot of 250,000 channels: decode", 1, "snapshots", rates):
        decode(data)
    print(f"{'snapshot of 250,000 channels':<52} {len(data):>12,} bytes")


def make(*, budget: int) -> Partition:
    return Partition(0, state(), retention=lambda _: Retention(size=1000, ttl=3600), budget=budget)


async def deliver(sessions: int, *, size: int, viewers: int) -> None:
    """Batches of `size` to all sessions, with an audience that `viewers` different viewers are judged by."""
    batches = 200
    sinks = [Sink() for _ in range(sessions)]
    rates: dict[str, float] = {}
    total = batches * sessions
    frames = b"x" * 300 * size
    print(
        f"\n{sessions} sessions, batches of {size}, "
        + (f"audience judged for {viewers} viewers" if viewers else "no audience")
    )
    with timed("bare loop: one write each", total, "deliveries", rates):
        for _ in range(batches):
            for sink in sinks:
                if sink.writable():
                    sink.write(frames)
    log = records(batches * size, channels=1, audience=b"all" if viewers else None)
    admits: list[Callable[[bytes], bool]] = [lambda audience: True for _ in range(max(viewers, 1))]
    codec = Plain()
    async with make(budget=64 << 20) as partition:
        for at, sink in enumerate(sinks):
            session = Session(
                transport=sink,
                codec=codec,
                admits=admits[at % len(admits)],
                partition=lambda _: partition,
                scan=nothing,
            )
            await session.subscribe("lead:0", greet=greet)
        with timed("partition to sessions", total, "deliveries", rates):
            for at in range(0, len(log), size):
                await partition.ask(Apply(records=log[at : at + size]))
    ratio = rates["partition to sessions"] / rates["bare loop: one write each"]
    print(f"{'ratio':<52} {ratio:>12.2f}")
    print(f"{'frames':<52} {rates['partition to sessions'] * size:>12,.0f} frames/s")


async def nothing(gap: Gap) -> Sequence[Publication]:
    raise OutOfReach


def greet(subscribed: Subscribed) -> bytes:
    return b"{}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--records", type=int, default=200_000)
    options = parser.parse_args()
    await fold(options.records)
    await deliver(options.sessions, size=1, viewers=0)
    await deliver(options.sessions, size=8, viewers=0)
    await deliver(options.sessions, size=1, viewers=10)
    await deliver(options.sessions, size=8, viewers=options.sessions)


if __name__ == "__main__":
    asyncio.run(main())
