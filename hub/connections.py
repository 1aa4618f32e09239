"""The connections of this node, whatever they speak: how many are open, why they ended, and which were not let in."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from actors import closes
from actors.closes import Close
from hub.centrifuge import codes

OPEN = Gauge("hub_connections", "Open connections", ["transport"])
ENDED = Counter("hub_closes_total", "Connections that ended, by close code", ["code"])
REFUSED = Counter("hub_connections_refused_total", "Connections that were not let in, by the limit", ["limit"])

#: Close codes shown by themselves: ours, and those of WebSocket (RFC 6455). A client may make up any other.
SHOWN = {value.code for module in (closes, codes) for value in vars(module).values() if isinstance(value, Close)} | {
    *range(1000, 1016)
}


def opened(transport: str) -> None:
    """A connection is open; `ended` must follow."""
    OPEN.labels(transport).inc()


def ended(transport: str, code: int | None) -> None:
    """It has ended, with this code; without one it just went."""
    OPEN.labels(transport).dec()
    code = code or 1006
    ENDED.labels(code if code in SHOWN else "other").inc()


def refused(limit: str) -> None:
    """One more than this limit allows."""
    REFUSED.labels(limit).inc()
