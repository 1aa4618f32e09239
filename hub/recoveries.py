"""Recoveries: how clients that came back got what they missed."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

ASKED = Counter("hub_recoveries_total", "Subscriptions that began where the client had left, or could not", ["outcome"])
PUBLICATIONS = Histogram(
    "hub_recovery_publications",
    "Publications in the answer to a Centrifuge client that recovered",
    buckets=(0, 1, 3, 10, 30, 100, 300, 1000, 3000),
)


def count(recovered: bool) -> None:
    """Count a client that said where it had left."""
    ASKED.labels("recovered" if recovered else "not_recovered").inc()
