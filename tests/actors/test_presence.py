"""Who is present, against a model: nodes start and die, records are lost and repeated, clients come and go."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.presence import Alive, Change, ClientInfo, Goodbye, Moved, NodeInfo, Present, Said
from actors.roster import ASK_AGAIN, Roster
from tests.examples import examples

LOST_AFTER = 10.0

CHANNELS = ["news", "chat:1", "chat:2"]


def client(name: str, user: str = "7") -> ClientInfo:
    return ClientInfo(user=user, client=name)


class Node:
    """A node, with what it says and how far it has read what others say."""

    def __init__(self, uid: str, log: list[Said]) -> None:
        self.uid = uid
        self.log = log
        self.roster = Roster(uid, lost_after=LOST_AFTER)
        self.n = 0
        #: What it watches: who is there by the joins and leaves it was told.
        self.seen: dict[tuple[str, str], None] = {}
        self.read = len(log)
        self.asked_for_all = False
        #: What is still to be said of itself: places, once it has begun.
        self.rest: list[tuple[str, str]] | None = None

    def say(self, said: type[Said], *, lost: bool = False, **more: object) -> None:
        self.n += 1
        if not lost:
            self.log.append(said(node=self.uid, n=self.n, **more))

    def beat(self, *, lost: bool = False) -> None:
        self.say(Alive, lost=lost, info=NodeInfo(uid=self.uid, name=self.uid, version="1", started=0.0))

    def watch(self, changes: Sequence[Change]) -> None:
        for joined, channel, info in changes:
            place = channel, info.client
            assert joined is (place not in self.seen)
            if joined:
                self.seen[place] = None
            else:
                del self.seen[place]

    def hear(self, upto: int, now: float) -> None:
        for said in self.log[self.read : upto]:
            self.watch(self.roster.hear(said, now))
        self.read = max(self.read, upto)

    def say_part(self, size: int, *, lost: bool = False) -> bool:
        """Say the next part of all; whether that was the last."""
        first = self.rest is None
        self.asked_for_all = self.asked_for_all and not first
        places = self.roster.own() if self.rest is None else self.rest
        part, self.rest = places[:size], places[size:]
        infos = [(place[0], info) for place in part if (info := self.roster.own_info(place))]
        self.say(Present, lost=lost, first=first, last=not self.rest, clients=infos)
        if not self.rest:
            self.rest = None
            return True
        return False


class Nodes(RuleBasedStateMachine):
    """Everybody reads one log, each at its own pace. In the end every living node's view is the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Said] = []
        self.now = 0.0
        self.ids = count()
        self.living: list[Node] = []

    def some(self, data: st.DataObject) -> Node:
        return data.draw(st.sampled_from(self.living))

    @rule()
    def start(self) -> None:
        if len(self.living) < 4:
            node = Node(f"node{next(self.ids)}", self.log)
            self.living.append(node)
            node.beat()
            self.ask([one.uid for one in self.living])

    @precondition(lambda self: self.living)
    @rule(data=st.data(), goodbye=st.booleans())
    def end(self, data: st.DataObject, goodbye: bool) -> None:
        node = self.some(data)
        self.living.remove(node)
        if goodbye:
            node.say(Goodbye)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), channel=st.sampled_from(CHANNELS), lost=st.booleans(), again=st.booleans())
    def enter(self, data: st.DataObject, channel: str, lost: bool, again: bool) -> None:
        node = self.some(data)
        info = client(f"client{next(self.ids)}")
        changes = [Change(True, channel, info)]
        assert node.roster.enter(channel, info)
        assert not node.roster.enter(channel, info)
        node.watch(changes)
        if again:
            assert node.roster.leave(channel, info.client) == info
            assert node.roster.enter(channel, info)
            changes += [Change(False, channel, info), Change(True, channel, info)]
            node.watch(changes[1:])
        node.say(Moved, lost=lost, changes=changes)

    @precondition(lambda self: any(node.roster.own() for node in self.living))
    @rule(data=st.data(), lost=st.booleans())
    def leave(self, data: st.DataObject, lost: bool) -> None:
        node = data.draw(st.sampled_from([node for node in self.living if node.roster.own()]))
        channel, name = data.draw(st.sampled_from(node.roster.own()))
        info = node.roster.leave(channel, name)
        assert info is not None
        assert node.roster.leave(channel, name) is None
        node.watch([Change(False, channel, info)])
        node.say(Moved, lost=lost, changes=[Change(False, channel, info)])

    @precondition(lambda self: self.living)
    @rule(data=st.data(), size=st.integers(1, 3), lost=st.booleans())
    def say_part(self, data: st.DataObject, size: int, lost: bool) -> None:
        """A node says all, or goes on with it, while clients move."""
        self.some(data).say_part(size, lost=lost)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), lost=st.integers(0, 4))
    def say_all(self, data: st.DataObject, lost: int) -> None:
        """A node says all, one client at a time, and one of the parts is lost."""
        node, part = self.some(data), 0
        while not node.say_part(1, lost=part == lost):
            part += 1

    @precondition(lambda self: self.log)
    @rule()
    def repeat(self) -> None:
        """A producer sends its last record twice."""
        self.log.append(self.log[-1])

    @precondition(lambda self: self.living)
    @rule(data=st.data(), lost=st.booleans())
    def beat(self, data: st.DataObject, lost: bool) -> None:
        self.some(data).beat(lost=lost)

    @precondition(lambda self: self.living)
    @rule(data=st.data(), records=st.integers(1, 20))
    def hear(self, data: st.DataObject, records: int) -> None:
        node = self.some(data)
        node.hear(min(node.read + records, len(self.log)), self.now)
        self.ask(node.roster.unsure(self.now))

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for node in self.living:
            node.watch(node.roster.expire(self.now))

    @invariant()
    def what_was_told_is_what_is_known(self) -> None:
        for node in self.living:
            known = {(channel, name) for channel in CHANNELS for name in node.roster.of(channel)}
            assert known == set(node.seen)
            assert len(node.roster) == len(known)

    def ask(self, nodes: Sequence[str]) -> None:
        for node in self.living:
            node.asked_for_all = node.asked_for_all or node.uid in nodes

    @rule()
    def settle(self) -> None:
        """Let time pass with everything working, long enough to give up the dead; then everybody knows the truth."""
        for _ in range(round(2 * LOST_AFTER / ASK_AGAIN)):
            self.now += ASK_AGAIN
            for node in self.living:
                node.beat()
                if node.asked_for_all or node.rest is not None:
                    while not node.say_part(2):
                        pass
            for node in self.living:
                node.hear(len(self.log), self.now)
                node.watch(node.roster.expire(self.now))
                self.ask(node.roster.unsure(self.now))
        truth = {
            (channel, name): info
            for node in self.living
            for channel, name in node.roster.own()
            if (info := node.roster.own_info((channel, name)))
        }
        uids = {node.uid for node in self.living}
        for node in self.living:
            known = {(channel, name): info for channel in CHANNELS for name, info in node.roster.of(channel).items()}
            assert known == truth
            assert set(node.roster.nodes()) == node.roster.living() == uids - {node.uid}
            assert node.roster.complete
        self.what_was_told_is_what_is_known()

    def teardown(self) -> None:
        self.settle()


TestNodes = Nodes.TestCase
TestNodes.settings = settings(max_examples=examples(100), stateful_step_count=40)


def roster() -> Roster:
    """Of node `a`, that has heard itself at 0."""
    made = Roster("a", lost_after=LOST_AFTER)
    made.hear(Said(node="a", n=1), 0.0)
    return made


def moved(n: int, *changes: Change, node: str = "b") -> Moved:
    return Moved(node=node, n=n, changes=changes)


JOINED = Change(True, "news", client("one"))
LEFT = Change(False, "news", client("one"))


def test_a_repeated_record_counts_once() -> None:
    one = roster()
    assert one.hear(moved(1, JOINED), 1.0) == [JOINED]
    assert one.repeats(moved(1, JOINED))
    assert one.hear(moved(2, LEFT), 1.0) == [LEFT]
    assert one.hear(moved(1, JOINED), 1.0) == []
    assert one.of("news") == {}


def test_a_hole_is_asked_about_once_in_a_while_until_all_is_said() -> None:
    one = roster()
    one.hear(Present(node="b", n=1, first=True, last=True, clients=[("news", client("one"))]), 1.0)
    assert one.unsure(1.0) == []
    one.hear(Said(node="b", n=3), 2.0)
    assert (one.unsure(2.0), one.unsure(2.5), one.unsure(3.0)) == (["b"], [], ["b"])
    one.hear(Present(node="b", n=4, first=True, last=False, clients=[]), 4.0)
    assert one.unsure(10.0) == []
    assert list(one.of("news")) == ["one"]
    assert one.hear(Present(node="b", n=5, first=False, last=True, clients=[("news", client("two"))]), 5.0) == [
        Change(True, "news", client("two")),
        LEFT,
    ]


def test_a_lost_part_of_all_takes_nobody_away() -> None:
    one = roster()
    one.hear(moved(1, JOINED), 1.0)
    one.hear(Present(node="b", n=2, first=True, last=False, clients=[]), 1.0)
    assert one.hear(Present(node="b", n=4, first=False, last=True, clients=[]), 1.0) == []
    assert list(one.of("news")) == ["one"]
    assert (one.complete, one.unsure(1.0)) == (False, ["b"])


def test_a_silent_node_takes_its_clients_with_it() -> None:
    one = roster()
    one.hear(moved(1, JOINED), 1.0)
    for n, now in enumerate((4.0, 8.0, 11.0), start=2):
        one.hear(Said(node="a", n=n), now)
    assert one.expire(11.0) == []
    assert one.expire(11.1) == [LEFT]
    assert one.living() == frozenset()


def test_nobody_is_given_up_by_a_node_that_is_deaf() -> None:
    one = roster()
    one.hear(moved(1, JOINED), 1.0)
    assert one.expire(100.0) == []
    one.hear(Said(node="a", n=2), 100.0)
    assert one.expire(104.0) == []
    one.hear(Said(node="a", n=3), 105.0)
    one.hear(Said(node="a", n=4), 110.0)
    assert one.expire(110.1) == [LEFT]


def test_a_client_belongs_to_the_node_that_named_it_last() -> None:
    one = roster()
    one.hear(moved(1, JOINED, node="b"), 1.0)
    assert one.hear(moved(1, JOINED, node="c"), 1.0) == []
    assert one.hear(moved(2, LEFT, node="b"), 1.0) == []
    assert one.hear(Goodbye(node="c", n=2), 1.0) == [LEFT]


def test_users_are_counted_once() -> None:
    one = roster()
    one.enter("news", client("one", "7"))
    one.hear(moved(1, Change(True, "news", client("two", "7")), Change(True, "news", client("three", "8"))), 1.0)
    assert one.stats("news") == (3, 2)
    assert one.stats("chat:1") == (0, 0)
