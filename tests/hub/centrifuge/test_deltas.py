"""Subscriptions with deltas: what goes over the wire, byte by byte, and that clients have what was published."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.channel import Publication
from actors.log import Kind, Position, Record
from actors.messages import Apply, Subscribed
from actors.partition import Partition
from actors.session import Session
from hub.centrifuge import deltas, fossil, protobuf_wire
from hub.centrifuge.codec import Content, WireFormat
from hub.centrifuge.deltas import LARGEST, Fossil
from hub.centrifuge.json_codec import CENTRIFUGE_JSON, JsonFormat
from hub.centrifuge.protobuf_codec import CENTRIFUGE_PROTOBUF, ProtobufFormat
from hub.centrifuge.push_codec import PushFormat
from hub.centrifuge.schema import MESSAGES
from tests.actors.fakes import Socket
from tests.actors.world import no_log, partition, remember
from tests.examples import examples

JSON, PROTOBUF = JsonFormat(lambda message: message), ProtobufFormat(lambda message: message)

OLD = '{"name":"Zoë","price":1000,"status":"qualified","amount":"125000.00"}'.encode()
NEW = '{"name":"Zoë","price":1002,"status":"qualified","amount":"125000.00"}'.encode()


def publication(
    payload: bytes, offset: int, *, kind: Kind = "publication", delta: bool = True, info: bytes | None = None
) -> Publication:
    record = Record(offset=offset, timestamp=0, kind=kind, channel="c", id="", payload=payload, delta=delta, info=info)
    return Publication(record, offset)


def whole_then_delta(format: WireFormat, old: Publication, new: Publication) -> tuple[bytes, bytes]:
    """The frames of two publications on one subscription."""
    first = deltas.codec(format)
    return old.frame(first, None), new.frame(first.after(True), old)


# Bytes.


def test_frames_in_json() -> None:
    first, second = whole_then_delta(JSON, publication(OLD, 7), publication(NEW, 8, info=b'{"user":"7","client":"u"}'))
    assert (
        first
        == (
            '{"push":{"channel":"c","pub":{"data":"{\\"name\\":\\"Zoë\\",\\"price\\":1000,\\"status\\":\\"qualified\\",'
            '\\"amount\\":\\"125000.00\\"}","offset":7}}}'
        ).encode()
    )
    assert second == (
        b'{"push":{"channel":"c","pub":{"data":"16\\nQ@0,1:2g@R,2QM7hn;","offset":8,'
        b'"info":{"user":"7","client":"u"},"delta":true}}}'
    )


def test_frames_in_protobuf() -> None:
    first, second = whole_then_delta(PROTOBUF, publication(OLD, 7), publication(NEW, 8))
    assert first == b"\x51\x22\x4f\x12\x01c\x22\x4a\x22\x46" + OLD + b"\x30\x07"
    assert second == b"\x22\x22\x20\x12\x01c\x22\x1b\x22\x1516\nQ@0,1:2g@R,2QM7hn;\x30\x08\x40\x01"


def test_frames_of_who_only_listens() -> None:
    _, second = whole_then_delta(PushFormat(lambda message: message), publication(OLD, 7), publication(NEW, 8))
    assert second == b'{"channel":"c","pub":{"data":"16\\nQ@0,1:2g@R,2QM7hn;","offset":8,"delta":true}}'


@pytest.mark.parametrize("format", [JSON, PROTOBUF])
def test_a_reply_carries_the_first_whole_and_deltas_to_what_comes_next(format: WireFormat) -> None:
    said = [publication(OLD, 1), publication(NEW, 2), publication(OLD, 3), publication(NEW, 5)]
    delta, back = fossil.create(OLD, NEW), fossil.create(NEW, OLD)
    assert [(one["data"], one["delta"], one["offset"]) for one in deltas.contents(format, said)] == [
        (format.delta_data(OLD), False, 1),
        (format.delta_data(delta), True, 2),
        (format.delta_data(back), True, 3),
        (format.delta_data(NEW), False, 5),
    ]
    reply = format.reply(1, "subscribe", {"delta": True, "publications": deltas.contents(format, said[:2])})
    if format is JSON:
        assert b'"delta":true' in reply
        assert b'{"data":"16\\nQ@0,1:2g@R,2QM7hn;","offset":2,"delta":true}' in reply


def test_line_ends_stay() -> None:
    text = b'{\r\n  "name": "x",\n  "price": %d,\n  "status": "qualified",\n  "amount": "125000.00"\n}'
    old, new = publication(text % 1000, 1), publication(text % 1001, 2)
    first, second = (json.loads(frame)["push"]["pub"]["data"] for frame in whole_then_delta(JSON, old, new))
    assert fossil.apply(first.encode(), second.encode()) == text % 1001


# When.


@pytest.mark.parametrize("format", [JSON, PROTOBUF])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (publication(OLD, 7), publication(NEW, 8, delta=False)),  # the publisher did not say so
        (publication(OLD, 6), publication(NEW, 8)),  # another stands between them
        (publication(b"1", 7), publication(b"2", 8)),  # the delta is longer
        (publication(OLD, 7), publication(b"x" * 60, 8)),
        (publication(OLD.ljust(LARGEST + 1), 7), publication(OLD.ljust(LARGEST), 8)),
        (publication(OLD.ljust(LARGEST), 7), publication(OLD.ljust(LARGEST + 1), 8)),
    ],
)
def test_what_goes_whole(format: WireFormat, old: Publication, new: Publication) -> None:
    _, second = whole_then_delta(format, old, new)
    assert second == format.publication_push("c", format.delta_data(new.record.payload), 8)


def test_what_agents_say_needs_no_mark() -> None:
    frames = whole_then_delta(JSON, publication(OLD, 7), publication(NEW, 8, kind="frame", delta=False))
    assert b'"delta":true' in frames[1]


@pytest.mark.parametrize(("old", "new"), [(OLD, NEW + b"\xff"), (b"\xff" + OLD, NEW), (OLD[:-5] + b"\xc3", NEW)])
def test_what_is_no_text_has_deltas_in_protobuf_alone(old: bytes, new: bytes) -> None:
    before, after = publication(old, 7), publication(new, 8)
    assert b'"delta":true' not in whole_then_delta(JSON, before, after)[1]
    assert fossil.create(old, new) in whole_then_delta(PROTOBUF, before, after)[1]


def test_a_delta_is_made_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counting(Fossil):
        def publication(self, publication: Publication, previous: Publication | None) -> bytes:
            made.append(publication.offset)
            return super().publication(publication, previous)

    monkeypatch.setattr(deltas, "FOSSIL", Counting())
    old, new = publication(OLD, 7), publication(NEW, 8)
    for format in (JSON, PROTOBUF, CENTRIFUGE_JSON, CENTRIFUGE_PROTOBUF):
        assert deltas.codec(format) is deltas.codec(format)
        one, again = (whole_then_delta(format, old, new) for _ in range(2))
        assert all(a is b for a, b in zip(one, again, strict=True))
        assert deltas.contents(format, [old, new])[1]["delta"]
    assert made == [8]


def test_deltas_take_a_part_of_the_time_and_no_more() -> None:
    old, new = publication(OLD, 7), publication(NEW, 8)
    never, ever = Fossil(share=0.0, burst=0.0), Fossil(share=1e9, burst=1e9)
    once = Fossil(share=0.0, burst=1e-9)
    assert never.publication(new, old) == b""
    assert [bool(one.publication(new, old)) for one in (ever, ever, once, once)] == [True, True, True, False]


# What clients have.

LINES = JsonFormat(lambda message: message + b"\n")


class Client:
    """What an SDK does with a subscription: it keeps the last text, and a delta makes the next of it."""

    def __init__(self, format: WireFormat, sight: bytes, actor: Partition) -> None:
        self.format = format
        self.sight = sight
        self.actor = actor
        #: By offset.
        self.has: dict[int, bytes] = {}
        self.deltas = 0
        self.position: Position | None = None
        self.socket = Socket()
        self.session: Session | None = None
        self._last = b""

    async def come(self) -> None:
        """Subscribe, from where it left."""
        self.socket = Socket()
        self.session = Session(
            transport=self.socket,
            codec=self.format,
            admits=lambda audience: self.sight in audience,
            partition=lambda _: self.actor,
            scan=no_log,
        )
        self.socket.resumed = self.session.resumed
        codec = deltas.codec(self.format)
        if self.position is None:
            told = await self.session.subscribe("c", greet=self._greet, codec=codec)
            self.position = Position(told.epoch, told.offset)
        else:
            told = await self.session.recover("c", since=self.position, limit=1000, greet=self._greet, codec=codec)
            assert told.recovered

    async def go(self) -> None:
        """Lose the connection, with whatever was not written."""
        if self.session is not None:
            await self.session.leave()
            self.session = None
            self.hear()

    def hear(self) -> None:
        """Take what was written: pushes, and the publications of the reply."""
        for message in self._messages(b"".join(self.socket.writes)):
            said = (message.get("subscribe") or {}).get("publications") or ()
            for one in (message["push"]["pub"],) if message.get("push") else said:
                self._take(one)
        self.socket.writes.clear()

    def _greet(self, subscribed: Subscribed) -> bytes:
        found = deltas.contents(self.format, subscribed.publications)
        return self.format.frame(self.format.reply(1, "subscribe", {"publications": found}))

    def _messages(self, frames: bytes) -> Iterator[Content]:
        if self.format is LINES:
            yield from map(json.loads, frames.splitlines())
            return
        at = 0
        while at < len(frames):
            message, at = protobuf_wire.read_delimited(frames, at)
            yield protobuf_wire.decode(MESSAGES["Reply"], message)

    def _take(self, said: Content) -> None:
        data: Any = said["data"]
        data = data.encode() if isinstance(data, str) else data
        if said.get("delta"):
            self.deltas += 1
            data = fossil.apply(self._last, data)
        assert said["offset"] not in self.has
        self._last = self.has[said["offset"]] = data
        assert self.position is not None
        self.position = self.position._replace(offset=said["offset"])


clients = st.integers(0, 3)
texts = st.builds(
    lambda name, numbers, end: json.dumps({"name": name, "numbers": numbers}, ensure_ascii=False).encode() + end,
    st.sampled_from(["Zoë Müller of Sales", "Zoë Maier of Sales"]),
    st.lists(st.sampled_from([1000000, 1000001, 20, 22]), min_size=6, max_size=9),
    st.sampled_from([b"", b"", b"\r\n", b"\xff"]),
)
said = st.tuples(texts, st.sampled_from([None, None, None, b"x", b"xy", b"y"]), st.sampled_from([False, False, True]))
steps = st.one_of(
    st.tuples(st.just("publish"), st.lists(said, min_size=1, max_size=4)),
    st.tuples(st.just("publish"), st.lists(said, min_size=1, max_size=4)),
    st.tuples(st.just("come"), clients),
    st.tuples(st.just("go"), clients),
    st.tuples(st.just("room"), clients, st.sampled_from([0, 1, 2])),
    st.tuples(st.just("drain"), clients),
)


async def lived(history: Sequence[tuple[Any, ...]]) -> int:
    """How many deltas clients got who lived through this, and have what was published."""
    published: list[Record] = []
    async with partition(remember(10_000)) as actor:
        everybody = [Client(format, sight, actor) for format in (LINES, PROTOBUF) for sight in (b"x", b"y")]
        began: dict[Client, int] = {}
        for what in (*history, *(("drain", n) for n in range(4))):
            client = everybody[what[1]] if what[0] != "publish" else None
            match what:
                case ("publish", several):
                    for payload, audience, transient in several:
                        published.append(_record(len(published), payload, audience, transient))
                    await actor.ask(Apply(records=published[-len(several) :]))
                case ("come", _) if client and client.session is None:
                    await client.come()
                    began.setdefault(client, len(published))
                case ("go", _) if client:
                    await client.go()
                case ("room", _, room) if client:
                    client.socket.drain(room)
                case ("drain", _) if client:
                    client.socket.drain(None)
        for client in everybody:
            while client.session is not None and client.session.behind:
                await actor.ask(Apply(records=[]))
            here = client.session is not None
            await client.go()
            may_have = {
                r.offset + 1: _text(r, client) for r in published if r.audience is None or client.sight in r.audience
            }
            assert may_have.items() >= client.has.items()
            after = began.get(client, len(published))
            if here:
                must = {n for n in may_have if n > after and not published[n - 1].transient}
                assert must <= client.has.keys()
    return sum(client.deltas for client in everybody)


def _record(at: int, payload: bytes, audience: bytes | None, transient: bool) -> Record:
    return Record(
        offset=at,
        timestamp=0,
        kind="publication",
        channel="c",
        id=str(at),
        payload=payload,
        audience=audience,
        transient=transient,
        delta=True,
    )


def _text(record: Record, client: Client) -> bytes:
    return record.payload if client.format is PROTOBUF else record.payload.decode(errors="replace").encode()


def test_clients_have_what_was_published() -> None:
    made = 0

    @settings(max_examples=examples(150), deadline=None)
    @given(st.lists(steps, max_size=30))
    def live(history: list[tuple[Any, ...]]) -> None:
        nonlocal made
        made += asyncio.run(lived(history))

    live()
    assert made > 100
