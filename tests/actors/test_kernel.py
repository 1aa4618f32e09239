"""The kernel: bounded mailboxes, asks that are always answered, failure and supervision."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from mode import Service
from mode.supervisors import OneForOneSupervisor

from actors.kernel import Actor, ActorFailed, ActorStopped, MailboxFull, Message


@dataclass(frozen=True)
class Add(Message[int]):
    """Add a number; answered with the sum."""

    number: int


@dataclass(frozen=True)
class Hold(Message[None]):
    """Work until the event is set."""

    until: asyncio.Event


@dataclass(frozen=True)
class Break(Message[None]):
    """Fail."""


@dataclass(frozen=True)
class WaitFor(Message[int]):
    """Answered when the sum has reached a number."""

    number: int


class Adder(Actor):
    """Adds up."""

    def __init__(self, *, mailbox: int = 100, patience: float = 5.0) -> None:
        super().__init__("adder", mailbox=mailbox, patience=patience)
        self.sum = 0
        self.waiting: list[tuple[int, asyncio.Future[int]]] = []
        self.holding = asyncio.Event()
        self.restarted = asyncio.Event()

    async def on_restart(self) -> None:
        self.sum = 0
        self.restarted.set()

    async def receive(self, message: Message[Any]) -> Any:
        match message:
            case Add(number):
                self.sum += number
                for _, answer in [w for w in self.waiting if w[0] <= self.sum and not w[1].done()]:
                    answer.set_result(self.sum)
                return self.sum
            case Hold(until):
                self.holding.set()
                await until.wait()
            case Break():
                raise RuntimeError("broken")
            case WaitFor(number):
                answer = asyncio.get_running_loop().create_future()
                self.waiting.append((number, answer))
                return answer


async def until(true: Callable[[], bool]) -> None:
    """Let others run until it is so."""
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never was so")


async def test_messages_are_handled_one_at_a_time_in_order() -> None:
    async with Adder() as adder:
        adder.tell(Add(1))
        adder.tell(Add(2))
        assert await adder.ask(Add(3)) == 6
        assert await asyncio.gather(*[adder.ask(Add(1)) for _ in range(50)]) == list(range(7, 57))


async def test_what_was_told_before_the_start_is_handled_after_it() -> None:
    adder = Adder()
    adder.tell(Add(5))
    async with adder:
        assert await adder.ask(Add(1)) == 6


async def test_a_full_mailbox_refuses_a_tell_and_lets_an_ask_wait() -> None:
    release = asyncio.Event()
    async with Adder(mailbox=3) as adder:
        adder.tell(Hold(release))
        await adder.holding.wait()
        for _ in range(3):
            adder.tell(Add(1))
        with pytest.raises(MailboxFull):
            adder.tell(Add(100))
        asks = [asyncio.create_task(adder.ask(Add(10))) for _ in range(5)]
        await asyncio.sleep(0)
        release.set()
        assert await asyncio.gather(*asks) == [13, 23, 33, 43, 53]


async def test_an_asker_that_gave_up_leaves_nothing_behind() -> None:
    release = asyncio.Event()
    async with Adder() as adder:
        adder.tell(Hold(release))
        with pytest.raises(TimeoutError):
            await adder.ask(Add(100), timeout=0.001)
        release.set()
        assert await adder.ask(Add(1)) == 1


async def test_an_answer_may_come_later_and_holds_up_nobody() -> None:
    async with Adder() as adder:
        ask = asyncio.create_task(adder.ask(WaitFor(3)))
        assert await adder.ask(Add(1)) == 1
        assert not ask.done()
        assert await adder.ask(Add(2)) == 3
        assert await ask == 3


async def test_an_answer_nobody_waits_for_is_cancelled() -> None:
    async with Adder() as adder:
        with pytest.raises(TimeoutError):
            await adder.ask(WaitFor(3), timeout=0.001)
        await until(lambda: adder.waiting[0][1].cancelled())


async def test_stop_finishes_what_was_accepted_and_answers_everybody() -> None:
    release = asyncio.Event()
    adder = Adder()
    await adder.start()
    later = asyncio.create_task(adder.ask(WaitFor(1000)))
    adder.tell(Hold(release))
    await adder.holding.wait()
    accepted = asyncio.create_task(adder.ask(Add(1)))
    await asyncio.sleep(0)
    stop = asyncio.create_task(adder.stop())
    await until(lambda: adder.should_stop)
    await asyncio.sleep(0)
    with pytest.raises(ActorStopped):
        adder.tell(Add(1))
    with pytest.raises(ActorStopped):
        await adder.ask(Add(1))
    release.set()
    await stop
    assert await accepted == 1
    with pytest.raises(ActorStopped):
        await later


async def test_stop_has_a_deadline_after_which_no_asker_hangs() -> None:
    adder = Adder(patience=0.001)
    await adder.start()
    held = asyncio.create_task(adder.ask(Hold(asyncio.Event())))
    await adder.holding.wait()
    behind = asyncio.create_task(adder.ask(Add(1)))
    await asyncio.sleep(0)
    await adder.stop()
    for ask in held, behind:
        with pytest.raises(ActorStopped):
            await ask


async def test_an_actor_that_never_started_answers_at_stop() -> None:
    adder = Adder()
    ask = asyncio.create_task(adder.ask(Add(1)))
    await asyncio.sleep(0)
    await adder.stop()
    with pytest.raises(ActorStopped):
        await ask


async def test_failure_tells_the_asker_why_and_the_others_that_it_stopped() -> None:
    adder = Adder()
    await adder.start()
    broken = asyncio.create_task(adder.ask(Break()))
    behind = asyncio.create_task(adder.ask(Add(1)))
    with pytest.raises(ActorFailed) as failure:
        await broken
    assert isinstance(failure.value.__cause__, RuntimeError)
    with pytest.raises(ActorStopped):
        await behind
    await until(lambda: adder.crashed)
    with pytest.raises(ActorStopped):
        adder.tell(Add(1))
    await adder.stop()


async def test_without_a_supervisor_a_failure_goes_up() -> None:
    class Hub(Service):
        """Depends on an actor."""

    hub, adder = Hub(), Adder()
    hub.add_dependency(adder)
    await hub.start()
    adder.tell(Break())
    await until(lambda: hub.crashed)
    assert isinstance(hub.crash_reason, RuntimeError)
    await hub.stop()


async def test_a_supervisor_starts_a_failed_actor_anew() -> None:
    adder = Adder()
    supervisor = OneForOneSupervisor()
    supervisor.add(adder)
    await supervisor.start()
    assert await adder.ask(Add(5)) == 5
    await asyncio.sleep(0)  # the supervisor goes to sleep, so that the failure wakes it
    with pytest.raises(ActorFailed):
        await adder.ask(Break())
    await adder.restarted.wait()
    await until(lambda: adder.started)
    assert await adder.ask(Add(1)) == 1
    await supervisor.stop()


async def test_a_busy_actor_lets_others_have_their_turn() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with Adder(mailbox=10_000) as adder:
        other = asyncio.create_task(count())
        for _ in range(1600):
            adder.tell(Add(1))
        await adder.ask(Add(1))
        other.cancel()
        assert turns >= 90
