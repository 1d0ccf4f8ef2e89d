"""Metrics through Airflow's own client: StatsD, Datadog or OpenTelemetry, as configured there.

Without such a configuration nothing is sent. Names begin with ``inbound_webhooks.``.
The gateway also exposes its counters to Prometheus.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache

from inbound_webhooks.monitoring.log_lines import get_logger

log = get_logger(__name__)

PREFIX = "inbound_webhooks"

_listeners: list[Callable[[str, int], None]] = []

_SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")
_INNER_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


@cache
def are_on() -> bool:
    """Whether Airflow's metrics are enabled, in any way."""
    from airflow.configuration import conf

    return any(conf.getboolean("metrics", switch, fallback=False) for switch in _SWITCHES)


def start(*, in_api_server: bool) -> None:
    """Initialise Airflow's metrics in processes where Airflow does not; its api-server does since 3.3."""
    if not are_on():
        return
    from airflow import __version__
    from airflow.configuration import conf
    from airflow.observability.metrics.stats_utils import get_stats_factory
    from airflow.observability.stats import Stats

    if in_api_server and tuple(int(part) for part in __version__.split(".")[:2]) >= (3, 3):
        return
    # Airflow 3.2 passes its class to the factory, and has no legacy names.
    takes_class = bool(inspect.signature(get_stats_factory).parameters)
    factory = get_stats_factory(Stats) if takes_class else get_stats_factory()
    legacy = {} if takes_class else {"export_legacy_names": conf.getboolean("metrics", "legacy_names_on")}
    Stats.initialize(factory=factory, **legacy)


def add_listener(listener: Callable[[str, int], None]) -> None:
    """Register a function that is called for everything counted in this process."""
    # A listener that is registered twice would count everything twice.
    if listener not in _listeners:
        _listeners.append(listener)


def count(name: str, by: int = 1) -> None:
    """Count an event."""
    for listener in _listeners:
        listener(name, by)
    if by and are_on():
        _send(lambda stats: stats.incr(f"{PREFIX}.{name}", by))


def count_rejection(error: Exception) -> None:
    """Count a rejected request by the class of its error, such as ``rejected.body_too_large``."""
    count(rejection_name(type(error).__name__))


@cache
def rejection_name(kind: str) -> str:
    """``BodyTooLarge`` -> ``rejected.body_too_large``."""
    return f"rejected.{_INNER_CAPITAL.sub('_', kind).lower()}"


def gauge(name: str, value: float) -> None:
    """Report the current value of something."""
    _send(lambda stats: stats.gauge(f"{PREFIX}.{name}", value))


def timing(name: str, taken: timedelta) -> None:
    """Report how long something took."""
    _send(lambda stats: stats.timing(f"{PREFIX}.{name}", taken))


def _send(report: Callable[..., None]) -> None:
    if not are_on():
        return
    # Imported here, because only processes with metrics need it.
    from airflow.observability.stats import Stats

    try:
        report(Stats)
    except Exception as error:  # noqa: BLE001 - a lost metric must not cost a delivery
        log.warning("metric lost action=metric_lost kind=%s", type(error).__name__)
