"""The fold against a model that keeps the whole log and looks things up in it, and the rules one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import log, snapshot
from actors.log import CHANNEL_LIFE, ID_LIFE, Applied, Hole, Kind, Position, Record, State, apply
from tests.examples import examples

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
NOW = 1_790_000_000_000
FEW_CHANNELS = 3
FEW_IDS = 4
KINDS: Sequence[Kind] = ["frame", "frame", "publication", "publication", "publication", "tick", "other"]


def first() -> State:
    return State.first("0badcafe", 100, 7)


def fold(state: State, records: Sequence[Record]) -> list[Applied | Hole | None]:
    return [apply(state, record) for record in records]


def publication(offset: int, channel: str, id: str = "", n: int | None = None) -> Record:
    return Record(offset=offset, timestamp=0, kind="publication", channel=channel, id=id or f"id{offset}", n=n)


def tick(offset: int, time: int) -> Record:
    return Record(offset=offset, timestamp=0, kind="tick", channel="", id="", time=time)


def model(records: Sequence[Record]) -> list[Applied | Hole | None]:
    """What each record must give: the rules, written over lists of everything that happened."""
    results: list[Applied | Hole | None] = []
    ticks: list[int] = []
    last, mark = 99, 6
    alive: list[
        tuple[str, int, int, int]
    ] = []  # channel, made, number, ticks before its last use; longest unused first
    known: list[tuple[str, str, int, int, int]] = []  # channel, id, made, number, ticks before it; oldest first
    taken: list[tuple[str, int, int, str]] = []  # channel, made, version, epoch of the version; oldest first

    def age(ticks_before: int) -> int:
        return ticks[-1] - ticks[max(ticks_before - 1, 0)] if ticks else 0

    def one(r: Record) -> Applied | Hole | None:
        nonlocal last, mark, alive, known
        if r.offset <= last:
            return None
        last = r.offset
        if r.n is not None and r.n != mark + 1:
            return Hole(mark, r.n) if r.n > mark else None
        mark = mark if r.n is None else r.n
        if r.kind == "tick" and r.time is not None and r.time > max([0, *ticks]):
            ticks.append(r.time)
        alive = [c for c in alive if age(c[3]) <= CHANNEL_LIFE]
        known = [k for k in known if age(k[4]) <= ID_LIFE]
        if r.kind in ("tick", "other"):
            return None
        for channel, id, made, number, _ in known:
            if r.n is None and (channel, id) == (r.channel, r.id):
                return Applied(r.channel, f"0badcafe-{made}", number, False)
        made, number = next(((c[1], c[2] + 1) for c in alive if c[0] == r.channel), (r.offset, 1))
        if r.n is None and r.version:
            last_version = [(v, e) for c, m, v, e in taken if (c, m) == (r.channel, made)][-1:]
            if any(e == r.version_epoch and v >= r.version for v, e in last_version):
                known = [*known, (r.channel, r.id, made, number - 1, len(ticks))][-FEW_IDS:]
                return Applied(r.channel, f"0badcafe-{made}", number - 1, False)
            taken.append((r.channel, made, r.version, r.version_epoch))
        alive = [c for c in alive if c[0] != r.channel] + [(r.channel, made, number, len(ticks))]
        alive = alive[-FEW_CHANNELS:]
        if r.n is None:
            known = [*known, (r.channel, r.id, made, number, len(ticks))][-FEW_IDS:]
        return Applied(r.channel, f"0badcafe-{made}", number, True)

    for record in records:
        results.append(one(record))
    return results


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Logs with repeats, holes, offsets that skip and go back, ticks that jump and go back, few channels and ids."""
    records: list[Record] = []
    offset, n, time = 100, 7, NOW
    for _ in range(draw(st.integers(0, 60))):
        kind = draw(st.sampled_from(KINDS))
        number = None
        if kind == "frame" or draw(st.integers(0, 9)) == 0:
            number = n + draw(st.sampled_from([0, 0, 0, 0, -1, -3, 1, 2]))
            n = max(n, number + 1) if draw(st.booleans()) else n + (number == n)
        time += draw(st.sampled_from([10_000, 10_000, MINUTE, ID_LIFE, ID_LIFE + 1, -DAY, DAY, CHANNEL_LIFE]))
        records.append(
            Record(
                offset=max(offset, 0),
                timestamp=draw(st.integers(0, NOW)),
                kind=kind,
                channel=draw(st.sampled_from(["activity", "#1", "lead:7", "lead:8", "x"])),
                id=draw(st.sampled_from(["a", "b", "c", "d", "e", "f"])),
                n=number,
                version=draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
                version_epoch=draw(st.sampled_from(["", "", "x"])),
                time=time if kind == "tick" else None,
            )
        )
        offset += draw(st.sampled_from([1, 1, 1, 1, 1, 2, 5, 0, -1, -4]))
    return records


@pytest.fixture(autouse=True, scope="module")
def few() -> Iterator[None]:
    """Bounds that a test reaches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "CHANNELS", FEW_CHANNELS)
        patch.setattr(log, "IDS", FEW_IDS)
        yield


@settings(max_examples=examples(100), deadline=None)
@given(logs())
def test_the_fold_equals_the_model(records: list[Record]) -> None:
    assert fold(first(), records) == model(records)


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.sets(st.integers(0, 60)))
def test_a_snapshot_at_any_point_changes_nothing(records: list[Record], points: set[int]) -> None:
    whole = first()
    expected = fold(whole, records)
    state = first()
    results = []
    for at, record in enumerate(records):
        if at in points:
            state = snapshot.decode(snapshot.encode(state)).state
        results.append(apply(state, record))
    assert results == expected
    assert state == whole
    assert list(state.channels) == list(whole.channels)
    assert list(state.ids) == list(whole.ids)
    assert state.versions == whole.versions


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.integers(0, 60), st.integers(0, 60))
def test_reading_a_stretch_again_changes_nothing(records: list[Record], a: int, b: int) -> None:
    once, twice = first(), first()
    fold(once, records)
    fold(twice, records[: max(a, b)])
    assert fold(twice, records[min(a, b) : max(a, b)]) == [None] * len(records[min(a, b) : max(a, b)])
    fold(twice, records[max(a, b) :])
    assert twice == once


@settings(max_examples=examples(100), deadline=None)
@given(logs())
def test_numbers_are_dense_in_an_epoch_and_never_given_twice(records: list[Record]) -> None:
    given: dict[tuple[str, str], int] = {}
    for result in fold(first(), records):
        if isinstance(result, Applied) and result.new:
            assert result.offset == given.get((result.channel, result.epoch), 0) + 1
            given[result.channel, result.epoch] = result.offset


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.integers(0, 60), st.integers(0, 60))
def test_a_place_told_before_is_known_again_only_if_the_channel_is_still_the_one_it_was(
    records: list[Record], a: int, b: int
) -> None:
    """Whoever was told a place saw the life of the channel that was then, or else the first one after it."""
    state = first()
    results = fold(state, records[: min(a, b)])
    channels = ["activity", "#1", "lead:7", "lead:8", "x"]
    places = {channel: Position(state.told(channel), state.top(channel).offset) for channel in channels}
    lives = {channel: [place.epoch] for channel, place in places.items() if state.top(channel).epoch}
    forgotten = state.forgotten
    results = fold(state, records[min(a, b) :])
    for result in results:
        if isinstance(result, Applied) and result.new and result.offset == 1:
            lives.setdefault(result.channel, []).append(result.epoch)
    for channel, place in places.items():
        seen, now = (lives.get(channel) or [""])[0], state.top(channel).epoch
        if state.reaches(channel, place):
            assert now == seen
        elif now == seen:
            assert state.forgotten != forgotten  # caution: some channel was forgotten, and it is not known which


def test_a_channel_counts_from_one_in_an_epoch_named_by_its_first_record() -> None:
    state = first()
    assert state.top("a") == Position("", 0)
    assert fold(state, [publication(103, "a"), publication(104, "b"), publication(109, "a")]) == [
        Applied("a", "0badcafe-103", 1, True),
        Applied("b", "0badcafe-104", 1, True),
        Applied("a", "0badcafe-103", 2, True),
    ]
    assert state.top("a") == Position("0badcafe-103", 2)
    assert (state.next, state.mark) == (110, 6)


def test_a_repeat_from_outside_gets_the_first_answer_for_five_minutes() -> None:
    state = first()
    results = fold(
        state,
        [
            tick(100, NOW),
            publication(101, "a", "key"),
            publication(102, "b", "key"),
            tick(103, NOW + ID_LIFE),
            publication(104, "a", "key"),
            tick(105, NOW + ID_LIFE + 1),
            publication(106, "a", "key"),
        ],
    )
    assert results[1] == Applied("a", "0badcafe-101", 1, True)
    assert results[2] == Applied("b", "0badcafe-102", 1, True)
    assert results[4] == Applied("a", "0badcafe-101", 1, False)
    assert results[6] == Applied("a", "0badcafe-101", 2, True)
    assert state.settled("a", "key") == Position("0badcafe-101", 2)
    assert state.settled("a", "other") is None


def test_an_older_version_is_answered_with_what_the_channel_has() -> None:
    def versioned(offset: int, version: int, epoch: str = "e", channel: str = "a", n: int | None = None) -> Record:
        return replace(publication(offset, channel, n=n), version=version, version_epoch=epoch)

    state = first()
    records = [
        versioned(100, 5),
        versioned(101, 5),
        versioned(102, 4),
        versioned(103, 1, "f"),
        versioned(104, 1, channel="b"),
        publication(105, "a"),
        versioned(106, 1, "f"),
        versioned(107, 1, "f", n=7),
        versioned(108, 2, "f"),
    ]
    results = fold(state, records)
    counted = [result.new for result in results if isinstance(result, Applied)]
    assert counted == [True, False, False, True, True, True, False, True, True]
    assert results[2] == Applied("a", "0badcafe-100", 1, False)
    assert state.settled("a", "id106") == Position("0badcafe-100", 3)
    assert list(state.versions.items()) == [("a", (2, "f")), ("b", (1, "e"))]


def test_after_a_hole_numbered_records_wait_to_be_sent_again_and_others_go_on() -> None:
    state = first()
    assert fold(
        state,
        [
            publication(100, "a", n=7),
            publication(101, "a", n=9),
            publication(102, "a"),
            publication(103, "a", n=10),
            publication(104, "a", n=8),
            publication(105, "a", n=9),
            publication(106, "a", n=9),
            publication(107, "a", n=10),
        ],
    ) == [
        Applied("a", "0badcafe-100", 1, True),
        Hole(7, 9),
        Applied("a", "0badcafe-100", 2, True),
        Hole(7, 10),
        Applied("a", "0badcafe-100", 3, True),
        Applied("a", "0badcafe-100", 4, True),
        None,
        Applied("a", "0badcafe-100", 5, True),
    ]


def test_the_first_tick_is_when_everything_before_it_happened() -> None:
    state = first()
    fold(state, [publication(100, "a", "key"), tick(101, NOW), tick(102, NOW + ID_LIFE)])
    assert state.settled("a", "key") == Position("0badcafe-100", 1)
    fold(state, [tick(103, NOW + ID_LIFE + 1)])
    assert state.settled("a", "key") is None
    fold(state, [tick(104, NOW + CHANNEL_LIFE)])
    assert state.top("a").offset == 1
    fold(state, [tick(105, NOW + CHANNEL_LIFE + 1)])
    assert state.top("a") == Position("", 0)
    assert apply(state, publication(106, "a")) == Applied("a", "0badcafe-106", 1, True)


def test_partition_time_never_goes_back() -> None:
    state = first()
    fold(state, [tick(100, NOW), tick(101, NOW - DAY), publication(102, "a", "key"), tick(103, NOW + 1)])
    assert state.time == NOW + 1
    assert state.settled("a", "key") is not None


def test_a_record_of_no_kind_of_ours_still_has_its_number() -> None:
    state = first()
    assert apply(state, Record(offset=100, timestamp=0, kind="other", channel="", id="", n=7)) is None
    assert apply(state, publication(101, "a", n=8)) == Applied("a", "0badcafe-101", 1, True)


def test_the_longest_unused_channel_goes_first() -> None:
    state = first()
    fold(state, [publication(100 + at, channel) for at, channel in enumerate("abcad")])
    assert list(state.channels) == ["c", "a", "d"]


def test_the_bounds_are_constants_of_the_log() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "CHANNELS", 250_000)
        patch.setattr(log, "IDS", 1_000_000)
        state = first()
        for at in range(250_001):
            apply(state, publication(100 + at, f"lead:{at}", "same", n=7 + at))
        assert len(state.channels) == 250_000
        assert "lead:0" not in state.channels
        assert CHANNEL_LIFE == 30 * DAY
        assert ID_LIFE == 5 * MINUTE
