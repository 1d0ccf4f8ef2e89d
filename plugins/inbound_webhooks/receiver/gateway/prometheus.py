"""The gateway's metrics for Prometheus, summed over its workers.

Each worker counts in memory and writes its counters to a file once a second; the parent process adds the
files up when Prometheus scrapes. prometheus_client's own mode for several processes took a tenth of the
time of a request.
"""

from __future__ import annotations

import json
import uuid
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from inbound_webhooks.monitoring.loop import Loop

WRITE_SECONDS = 1.0

BUCKETS_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class WorkerFigures:
    """The counters of one worker process; written by the event loop, read by the writer thread."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{uuid.uuid4().hex}.json"
        self._outcomes: Counter[str] = Counter()
        self._buckets = [0] * (len(BUCKETS_SECONDS) + 1)
        self._seconds = 0.0
        self._loop = Loop("figures", self._write, seconds=WRITE_SECONDS, at_end=self._write_last)

    def count(self, outcome: str, by: int) -> None:
        """Count an outcome; see :func:`inbound_webhooks.monitoring.metrics.count`."""
        self._outcomes[outcome] += by

    def answered(self, seconds: float) -> None:
        """Count a response by its duration."""
        self._buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        self._seconds += seconds

    def start(self) -> None:
        """Write once a second until :meth:`stop`."""
        self._loop.start()

    def stop(self) -> None:
        """Write the last state."""
        self._loop.stop()
        self._loop.join()

    def _write(self) -> bool:
        figures = {"outcomes": dict(self._outcomes), "buckets": self._buckets, "seconds": self._seconds}
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(figures))
        new.replace(self._file)
        return False

    def _write_last(self) -> None:
        self._write()


class SummedFigures(Collector):
    """The counters of all workers that write to a folder, also of those that have ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client for each scrape."""
        figures = [json.loads(file.read_text()) for file in self._folder.glob("*.json")]
        yield _requests(figures)
        yield _responses(figures)


def _requests(figures: list[dict[str, Any]]) -> CounterMetricFamily:
    outcomes: Counter[str] = Counter()
    for one in figures:
        outcomes.update(one["outcomes"])
    family = CounterMetricFamily(
        "inbound_webhooks_requests",
        "Requests by outcome: received, accepted, filtered, refused, duplicates, rejected.<kind>",
        labels=["outcome"],
    )
    for outcome, number in sorted(outcomes.items()):
        family.add_metric([outcome], number)
    return family


def _responses(figures: list[dict[str, Any]]) -> HistogramMetricFamily:
    numbers = [sum(column) for column in zip(*(one["buckets"] for one in figures), strict=True)]
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, number in zip((*map(str, BUCKETS_SECONDS), "+Inf"), numbers, strict=False):
        total += number
        buckets.append((bound, total))
    return HistogramMetricFamily(
        "inbound_webhooks_response_seconds",
        "Time from a request's headers to its response",
        buckets=buckets or [("+Inf", 0)],
        sum_value=sum(one["seconds"] for one in figures),
    )


def serve(folder: Path, host: str, port: int) -> None:
    """Serve the metrics of all processes that write to a folder, from a thread.

    :raises OSError: the port is taken
    """
    registry = CollectorRegistry()
    registry.register(SummedFigures(folder))
    start_http_server(port, addr=host, registry=registry)
