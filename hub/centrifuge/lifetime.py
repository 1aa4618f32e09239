"""How long a connection lasts: it must be connected soon, answer pings, and end when its token does."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from actors.closes import Close
from hub import configuration
from hub.centrifuge import codes
from hub.centrifuge.wheel import Alarm, Wheel

#: Seconds a client has to close by itself after its connect command was refused.
REFUSED_GRACE = 2.0


#: How much of the shortest of its times a connection's alarm may be late.
LATE = 1 / 32


def grain(settings: configuration.Client) -> float:
    """Seconds that alarms may be late."""
    return max(0.001, LATE * min(settings.ping_interval, settings.pong_timeout, settings.stale_close_delay))


class Lifetime:
    """The timers of one connection, from its beginning."""

    __slots__ = (
        "_alarm",
        "_awaiting_pong",
        "_end",
        "_expiry",
        "_ping",
        "_pinged",
        "_settings",
        "_wheel",
        "pings",
        "pongs",
    )

    def __init__(
        self,
        settings: configuration.Client,
        wheel: Wheel,
        *,
        end: Callable[[Close], None],
        ping: Callable[[], None],
        pings: bool,
        pongs: bool,
    ) -> None:
        """`end` closes the connection, `ping` sends a ping. Without `pings` the transport keeps it alive by itself;
        without `pongs` they are not answered.
        """
        self.pings = pings
        self.pongs = pings and pongs
        self._settings = settings
        self._wheel = wheel
        self._end = end
        self._ping = ping
        self._awaiting_pong = False
        self._pinged = 0.0
        self._alarm = wheel.call_later(settings.stale_close_delay, partial(end, codes.STALE))
        self._expiry: Alarm | None = None

    def connected(self) -> None:
        """Send pings from now on."""
        self._alarm.cancel()
        if self.pings:
            self._alarm = self._wheel.call_later(
                self._settings.ping_interval * random.uniform(0.5, 1.0), self._say_ping
            )

    def refused(self) -> None:
        """The connect command was refused: close soon."""
        self._alarm.cancel()
        self._alarm = self._wheel.call_later(REFUSED_GRACE, partial(self._end, codes.CLOSED))

    def expires(self, at: int | None) -> None:
        """End some time after `at`, Unix seconds; None never. The last one counts."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if at is not None:
            delay = at - time.time() + self._settings.expired_close_delay
            self._expiry = self._wheel.call_later(max(0.0, delay), partial(self._end, codes.EXPIRED))

    def ponged(self) -> None:
        """A ping was answered. If there was none, that is not the protocol."""
        if not self._awaiting_pong:
            self._end(codes.BAD_REQUEST)
            return
        self._awaiting_pong = False
        self._alarm.cancel()
        since = time.monotonic() - self._pinged
        self._alarm = self._wheel.call_later(max(0.0, self._settings.ping_interval - since), self._say_ping)

    def leave(self) -> None:
        """It has ended."""
        self._alarm.cancel()
        if self._expiry is not None:
            self._expiry.cancel()

    def _say_ping(self) -> None:
        self._ping()
        if not self.pongs:
            self._alarm = self._wheel.call_later(self._settings.ping_interval, self._say_ping)
            return
        self._awaiting_pong = True
        self._pinged = time.monotonic()
        self._alarm = self._wheel.call_later(self._settings.pong_timeout, partial(self._end, codes.NO_PONG))
