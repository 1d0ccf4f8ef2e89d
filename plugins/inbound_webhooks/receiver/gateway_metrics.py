"""The gateway's figures for Prometheus, summed over its workers.

https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter(
    "inbound_webhooks_requests",
    "Requests by what became of them: received, accepted, filtered, refused, duplicates, rejected.<kind>",
    ["outcome"],
)
ANSWER_SECONDS = Histogram(
    "inbound_webhooks_answer_seconds",
    "Time from a request's headers to its answer",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)


def count(name: str, by: int) -> None:
    """Count something that happened; see :func:`inbound_webhooks.metrics.count`."""
    REQUESTS.labels(name).inc(by)


def serve(folder: str, host: str, port: int) -> None:
    """Show the figures of all processes that write to a folder, from a thread.

    :raises OSError: the port is taken
    """
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)
    start_http_server(port, addr=host, registry=registry)
