"""Alarms: none too early, none twice, none that was cancelled, whatever another one does."""

from __future__ import annotations

import asyncio
import random

from hub.centrifuge.wheel import Alarm, Wheel


async def test_alarms_ring_once_in_time_unless_they_are_cancelled() -> None:
    loop, wheel, random_ = asyncio.get_running_loop(), Wheel(0.01), random.Random(7)
    rung: dict[int, float] = {}
    due: dict[int, float] = {}
    alarms: dict[int, Alarm] = {}
    for n in range(500):
        delay = random_.uniform(0, 0.1)
        due[n] = loop.time() + delay
        alarms[n] = wheel.call_later(delay, lambda n=n: rung.__setitem__(n, loop.time()))  # type: ignore[misc]
    cancelled = set(random_.sample(range(500), 200))
    for n in cancelled:
        alarms[n].cancel()
    last = asyncio.Event()
    wheel.call_later(0.15, last.set)
    await last.wait()
    assert set(rung) == set(due) - cancelled
    assert all(rung[n] >= due[n] for n in rung)
    for alarm in alarms.values():
        alarm.cancel()
    assert len(wheel) == 0


async def test_alarms_that_are_cancelled_leave_no_timer() -> None:
    wheel = Wheel(0.25)
    alarms = [wheel.call_later(3600.0 * n, lambda: None) for n in range(1, 720)]
    shared = wheel.call_later(3600.0, lambda: None)
    assert len(wheel) >= 719
    for alarm in alarms:
        alarm.cancel()
        alarm.cancel()
    assert len(wheel) <= 1
    shared.cancel()
    assert len(wheel) == 0


async def test_one_alarm_may_cancel_another_or_fail() -> None:
    wheel, rung = Wheel(0.05), []
    last = asyncio.Event()
    later: list[Alarm] = []

    def first() -> None:
        rung.append("first")
        later[0].cancel()
        raise RuntimeError("as happens")

    wheel.call_later(0.0, first)
    later.append(wheel.call_later(0.0, lambda: rung.append("cancelled")))
    wheel.call_later(0.0, lambda: rung.append("last"))
    wheel.call_later(0.1, last.set)
    await last.wait()
    assert rung == ["first", "last"]
