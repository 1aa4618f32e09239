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

    __slots__ = ("_act", "_spoke")

    def __init__(self, act: Callable[[], None], spoke: dict[Alarm, None]) -> None:
        self._act = act
        #: All that is due with it.
        self._spoke = spoke
        spoke[self] = None

    def cancel(self) -> None:
        """Do nothing later."""
        self._spoke.pop(self, None)

    def ring(self) -> None:
        """Do it."""
        self._act()


class Wheel:
    """The alarms of one node."""

    def __init__(self, grain: float) -> None:
        """`grain` in seconds: an alarm is up to so much late."""
        self._grain = grain
        #: By the time they are due, in grains of the loop's time.
        self._spokes: dict[int, dict[Alarm, None]] = {}

    def call_later(self, delay: float, act: Callable[[], None]) -> Alarm:
        """Have something done after so many seconds."""
        loop = asyncio.get_running_loop()
        due = ceil((loop.time() + delay) / self._grain)
        spoke = self._spokes.get(due)
        if spoke is None:
            spoke = self._spokes[due] = {}
            loop.call_at(due * self._grain, self._turn, due)
        return Alarm(act, spoke)

    def _turn(self, due: int) -> None:
        spoke = self._spokes.pop(due)
        for alarm in list(spoke):
            if alarm not in spoke:  # cancelled by one before it
                continue
            alarm.cancel()
            try:
                alarm.ring()
            except Exception:  # the others are due all the same
                log.exception("alarm_failed")
