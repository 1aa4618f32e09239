"""Alarms of many connections: those that are due at about the same time share one timer of the loop.

A timer of the loop for each of 10,000 connections costs more memory than all that the hub itself knows of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil

import structlog

log = structlog.get_logger()


class Alarm:
    """Something to be done later; `cancel` takes it back, also when it was done."""

    __slots__ = ("_spoke", "act")

    def __init__(self, act: Callable[[], None], spoke: Spoke) -> None:
        self.act = act
        self._spoke = spoke

    def cancel(self) -> None:
        """Do nothing later."""
        self._spoke.drop(self)


class Spoke:
    """All alarms that are due together, and their timer."""

    __slots__ = ("_alarms", "_due", "_timer", "_wheel")

    def __init__(self, wheel: Wheel, due: int, at: float) -> None:
        self._alarms: dict[Alarm, None] = {}
        self._wheel = wheel
        self._due = due
        self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def add(self, act: Callable[[], None]) -> Alarm:
        """One more."""
        alarm = Alarm(act, self)
        self._alarms[alarm] = None
        return alarm

    def drop(self, alarm: Alarm) -> None:
        """One less, if it is still there; the last takes the timer with it."""
        if alarm in self._alarms:
            del self._alarms[alarm]
            if not self._alarms:
                self._timer.cancel()
                self._wheel.forget(self._due, self)

    def _ring(self) -> None:
        self._wheel.forget(self._due, self)
        for alarm in list(self._alarms):
            if alarm not in self._alarms:  # cancelled by one before it
                continue
            del self._alarms[alarm]
            try:
                alarm.act()
            except Exception:  # the others are due all the same
                log.exception("alarm_failed")


class Wheel:
    """The alarms of one node."""

    def __init__(self, grain: float) -> None:
        """`grain` in seconds: an alarm is up to so much late."""
        self._grain = grain
        #: By the time they are due, in grains of the loop's time.
        self._spokes: dict[int, Spoke] = {}

    def __len__(self) -> int:
        """Timers of the loop that are held."""
        return len(self._spokes)

    def call_later(self, delay: float, act: Callable[[], None]) -> Alarm:
        """Have something done after so many seconds."""
        due = ceil((asyncio.get_running_loop().time() + delay) / self._grain)
        spoke = self._spokes.get(due)
        if spoke is None:
            spoke = self._spokes[due] = Spoke(self, due, due * self._grain)
        return spoke.add(act)

    def forget(self, due: int, spoke: Spoke) -> None:
        """A spoke rings or is empty; what comes for the same time has another."""
        if self._spokes.get(due) is spoke:
            del self._spokes[due]
