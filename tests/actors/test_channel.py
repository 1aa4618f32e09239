"""What is remembered: the newest, without a hole, within size, time and budget."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.channel import OVERHEAD, PAGE_BYTES, Memory, Publication, Retention
from actors.log import Record
from tests.actors.fakes import Text
from tests.examples import examples

RETENTION = {
    "a": Retention(size=4, ttl=50),
    "b": Retention(size=100, ttl=20),
    "c": Retention(size=0, ttl=50),
    "d": Retention(size=0, ttl=0, spare=3, spare_ttl=20),
    "e": Retention(size=2, ttl=40, spare=4, spare_ttl=20),
}
PLENTY = 1_000_000


def publication(at: int, channel: str, offset: int, payload: bytes = b"") -> Publication:
    record = Record(offset=at, timestamp=0, kind="frame", channel=channel, id="", payload=payload)
    return Publication(record, offset)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("abcde"), st.integers(0, 400)),
            st.tuples(st.just("tick"), st.integers(1, 30)),
            st.tuples(st.just("anew"), st.just(0)),
        ),
        max_size=60,
    ),
    st.sampled_from([3 * OVERHEAD, 10 * OVERHEAD, PLENTY]),
)
def test_a_read_gives_exactly_what_follows_or_says_that_it_cannot(ops: list[tuple[str, int]], budget: int) -> None:
    codec = Text()
    memory = Memory(RETENTION.__getitem__, budget)
    published: dict[str, list[tuple[int, int]]] = {name: [] for name in RETENTION}  # (payload size, time)
    time = 1000
    memory.tick(time)
    for at, (what, size) in enumerate(ops):
        if what == "tick":
            time += size * 1000
            memory.tick(time)
        elif what == "anew":
            memory.forget("a")
            published["a"] = []
        else:
            published[what].append((size, time))
            one = publication(at, what, len(published[what]), b"x" * size)
            memory.remember(one)
            one.frame(codec)
            assert memory.size <= budget + 500 + OVERHEAD
    for channel, all_of_it in published.items():
        keep = RETENTION[channel]
        last = len(all_of_it)
        held = [o for o, (_, t) in enumerate(all_of_it, 1) if o > last - keep.size and t >= time - keep.ttl * 1000]
        spared = [
            o for o, (_, t) in enumerate(all_of_it, 1) if o > last - keep.spare and t >= time - keep.spare_ttl * 1000
        ]
        kept = sorted({*held, *spared})
        first = memory.first(channel)
        if budget == PLENTY:
            assert (first and first.offset) == (held[0] if held else None)
        else:
            assert first is None or first.offset in held
        for after in range(len(all_of_it)):
            page = memory.read(channel, after, 3)
            if page is None:
                assert budget != PLENTY or after + 1 not in kept
            else:
                assert [p.offset for p in page] == [o for o in kept if o > after][:3]
                assert [len(p.record.payload) for p in page] == [all_of_it[p.offset - 1][0] for p in page]
    assert memory.size == sum(p._size() for p in memory)
    assert [p.record.offset for p in memory] == sorted(p.record.offset for p in memory)


def test_what_came_before_the_first_tick_is_as_old_as_that() -> None:
    memory = Memory(lambda _: Retention(size=10, ttl=60), PLENTY)
    memory.remember(publication(0, "a", 1))
    memory.tick(1_790_000_000_000)
    memory.tick(1_790_000_060_000)
    assert memory.read("a", 0, 10) is not None
    memory.tick(1_790_000_060_001)
    assert memory.read("a", 0, 10) is None
    assert memory.size == 0


def test_a_page_ends_when_it_has_enough_bytes() -> None:
    memory = Memory(lambda _: Retention(size=100, ttl=60), 100 * PAGE_BYTES)
    for at in range(10):
        memory.remember(publication(at, "a", at + 1, b"x" * (PAGE_BYTES // 3)))
    page = memory.read("a", 2, 100)
    assert page is not None
    assert [p.offset for p in page] == [3, 4, 5, 6]


def test_a_publication_is_encoded_once_for_each_codec() -> None:
    one, other = Text(), Text()
    publication_ = publication(0, "a", 1, b"hello")
    assert publication_.frame(one) is publication_.frame(one)
    assert publication_.frame(other) == publication_.frame(one)
    assert (one.encoded, other.encoded) == (1, 1)
