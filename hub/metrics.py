"""The metrics of a node that are read off it when they are asked for. What happens seldom is counted where it happens;
what happens for every frame is counted as plain numbers by the actors and by the wire formats.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import accumulate

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.partition import LAGS, Partition
from hub import frames
from hub.centrifuge.json_codec import JsonFormat
from hub.centrifuge.protobuf_codec import ProtobufFormat
from hub.fold import FOLD

#: What is said on connections, by name.
PROTOCOLS = {"plain": frames.Plain, "json": JsonFormat, "protobuf": ProtobufFormat}


class NodeMetrics(Collector):
    """Of the partitions, and of the wire formats."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self._partitions = partitions

    def collect(self) -> Iterator[Metric]:
        yield from self._delivery()
        yield self._lag()
        yield from _traffic()

    def _delivery(self) -> Iterator[Metric]:
        partitions, standing = self._partitions, [partition.standing for partition in self._partitions]
        yield GaugeMetricFamily("hub_subscriptions", "Subscriptions", sum(p.listeners for p in partitions))
        yield GaugeMetricFamily(
            "hub_channels", "Channels somebody is subscribed to", sum(p.channels for p in partitions)
        )
        yield GaugeMetricFamily(
            "hub_slow_cursors", "Subscriptions that are behind their channel", sum(one.behind for one in standing)
        )
        yield CounterMetricFamily(
            "hub_fell_behind",
            "Times a subscription fell behind: its socket was full",
            sum(one.fell for one in standing),
        )
        yield CounterMetricFamily(
            "hub_deliveries", "Batches of a channel handed to a subscription", sum(p.deliveries for p in partitions)
        )

    def _lag(self) -> Metric:
        lags = [partition.lag for partition in self._partitions]
        counts = [sum(column) for column in zip(*(lag.counts for lag in lags), strict=True)]
        bounds = [*map(str, LAGS), "+Inf"]
        return HistogramMetricFamily(
            "hub_lag_seconds",
            "From a publication's time on the log until it was written to all who keep up",
            buckets=list(zip(bounds, accumulate(counts), strict=True)),
            sum_value=sum(lag.sum for lag in lags),
        )


def _traffic() -> Iterator[Metric]:
    for way, said in (("sent", "to clients"), ("received", "from clients")):
        messages = CounterMetricFamily(f"hub_messages_{way}", f"Messages {said}", labels=["protocol"])
        octets = CounterMetricFamily(f"hub_bytes_{way}", f"Bytes of frames {said}", labels=["protocol"])
        for name, protocol in PROTOCOLS.items():
            traffic = getattr(protocol, way)
            messages.add_metric([name], traffic.messages)
            octets.add_metric([name], traffic.bytes)
        yield messages
        yield octets


METRICS = web.AppKey("metrics", CollectorRegistry)


async def keep(app: web.Application) -> AsyncIterator[None]:
    """The metrics of an application that has a fold."""
    app[METRICS] = CollectorRegistry()
    app[METRICS].register(NodeMetrics(app[FOLD].partitions))
    yield


def exposition(app: web.Application) -> bytes:
    """All metrics of the node and its process, as Prometheus reads them."""
    return generate_latest(REGISTRY) + generate_latest(app[METRICS])
