"""A flood of events for a webhook with batches: all are accepted, and few runs follow soon."""

from __future__ import annotations

import asyncio
import time

from benchmarks.client import Target, post
from benchmarks.figures import Row
from benchmarks.gateway import CONNECTIONS, WARM_UP_SECONDS, at_gateway, gateway_on, paced
from benchmarks.payload import MAPPING, event
from benchmarks.posts import Side, comparison
from benchmarks.quiet import wait_until_quiet
from benchmarks.scale import Scale
from benchmarks.site import Site, create_webhook

DATABASE = "batches"
DAG_ID = "bench_batches"
SIZE, SECONDS = 100, 5
OFFERED_SECONDS = 10
SHARE_OF_PLAIN = 0.8
GOAL_SECONDS = 15
GOAL_MORE_RUNS = 0.04
"""Runs beyond those of full batches, as a share of them: of 50,000 events 520 instead of 500."""
DRAIN_SECONDS = 300

STORED = "SELECT count(*) FROM inbound_webhook_delivery WHERE group_key IS NOT NULL"
LEFT = f"{STORED} AND state NOT IN ('dispatched')"
RUNS = "SELECT count(*) FROM dag_run WHERE run_id LIKE 'webhook\\_\\_batch\\_%'"


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The row, and how the answers compare with what the database holds."""
    airflow = site.airflow(DATABASE, dispatcher=False)
    airflow.home.mkdir(parents=True, exist_ok=True)
    size = ("--batch-size", str(SIZE), "--batch-seconds", str(SECONDS))
    path = create_webhook(airflow, "batches", MAPPING, *size, dag_id=DAG_ID)
    with gateway_on(site, DATABASE) as gateway:
        offered = offered_a_second(post(gateway.port, at_gateway(site.webhook_path), event()), scale)
        side = Side(post(gateway.port, at_gateway(path), event()))
        airflow.launch("dispatcher", "webhooks", "dispatcher")
        try:
            asyncio.run(paced(side, int(offered), scale.batched / offered))
            waited = _seconds_until_dispatched(site)
        finally:
            airflow.stop()
    runs, stored = site.count(DATABASE, RUNS), site.count(DATABASE, STORED)
    return [_row(side, runs, waited, offered)], [
        comparison("Batches", "ours", [side], "deliveries", stored),
    ]


def offered_a_second(plain: Target, scale: Scale) -> float:
    """How many events a flood has each second, by what the gateway takes of plain ones; ends quiet."""
    side = Side(plain)
    side.take(CONNECTIONS[1], WARM_UP_SECONDS, keep=False)
    side.take(CONNECTIONS[1], scale.round_seconds)
    wait_until_quiet()
    return min(scale.batched / OFFERED_SECONDS, SHARE_OF_PLAIN * side.median)


def _seconds_until_dispatched(site: Site) -> float:
    """From the last answer until the last event has its run."""
    since = time.monotonic()
    while site.count(DATABASE, LEFT):
        if time.monotonic() - since > DRAIN_SECONDS:
            raise RuntimeError("some events have no run")
        time.sleep(0.1)
    return time.monotonic() - since


def _row(side: Side, runs: int, waited: float, offered: float) -> Row:
    sent = side.statuses.total()
    refused = sent - side.statuses[202]
    most = sent / SIZE * (1 + GOAL_MORE_RUNS) + 1
    return Row(
        measured=f"{sent:,} events at {offered:,.0f} a second in batches of {SIZE}, one dispatcher",
        ours=f"{runs:,} runs, the last {waited:.1f} s after the last event; {refused:,} not accepted",
        goal=f"all accepted, the last run within {GOAL_SECONDS} s, at most {most:,.0f} runs",
        met=not refused and waited <= GOAL_SECONDS and runs <= most,
    )
