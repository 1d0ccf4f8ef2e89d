"""Figures reach a real statsd socket, from a process as Airflow sets it up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from tests.infrastructure.statsd import StatsdServer
from tests.infrastructure.webhooks_builder import store_webhook

STORY = """
import json, os, sys
from inbound_webhooks.monitoring import metrics
metrics.start(in_api_server=False)
from datetime import datetime, timezone
from inbound_webhooks.dispatch.dispatcher import Dispatcher
from inbound_webhooks.dispatch.run_tracker import RunTracker
from inbound_webhooks.notifications.sender import NotificationSender
from inbound_webhooks.settings import Settings
from tests.infrastructure.asgi_endpoint import AsgiEndpoint
from tests.infrastructure.webhooks_builder import change_run, runs

path, unknown = sys.argv[1:]
asgi = AsgiEndpoint()
for body in (b'{"n": 1}', b'{"n": 1}', b'{"n": 2, "skip": true}', b"{", b'{"n": 3}'):
    asgi.post(path, body)
asgi.post(unknown, b"{}")
asgi.post(path, b"x" * 5000)
dispatcher = Dispatcher(Settings())
dispatcher._send_heartbeat()
dispatcher.dispatch_due()
for run, state in zip(runs(), ("success", "failed")):
    change_run(run.run_id, state=state, end_date=datetime.now(timezone.utc))
RunTracker(Settings()).follow()
mailer = NotificationSender(Settings())
while mailer.send_due():
    pass
"""


@pytest.fixture
def statsd():
    server = StatsdServer()
    yield server
    server.close()


def sent(statsd: StatsdServer) -> dict[str, list[str]]:
    """{name: [value, …]} of all that came so far."""
    found: dict[str, list[str]] = {}
    for packet in statsd.heard():
        for line in packet.splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name, []).append(value)
    return found


def produce_every_metric(statsd: StatsdServer, path: str, **variables: str) -> None:
    metrics = {
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
        "AIRFLOW__INBOUND_WEBHOOKS__MAX_BODY_BYTES": "4000",
    }
    unknown = path[:-64] + "0" * 64
    done = subprocess.run(
        [sys.executable, "-c", STORY, path, unknown],
        env={**os.environ, **metrics, **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def mailing_hook(database, monkeypatch):
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.mail_server import MailServer

    server = MailServer()
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection())
    server.start()
    store_dag("orders")
    yield store_webhook(
        mapping={"n": "${Webhook::Body.n}"},
        filter="{{ body.skip is undefined }}",
        dedup="${Webhook::Body.n}",
        notify_success=["a@example.com"],
        notify_failure=["a@example.com"],
    )
    server.stop()


def test_every_figure_reaches_a_real_socket(mailing_hook, statsd):
    produce_every_metric(statsd, mailing_hook.path)
    figures = {
        name.removeprefix("airflow.inbound_webhooks."): values
        for name, values in sent(statsd).items()
        if ".inbound_webhooks." in name
    }
    delays = figures.pop("dispatch_delay")
    assert len(delays) == 2
    assert all(re.fullmatch(r"[0-9.]+\|ms", delay) for delay in delays)
    assert {name: len(values) for name, values in figures.items()} == {
        "received": 5,
        "accepted": 2,
        "duplicates": 1,
        "filtered": 1,
        "rejected.body_malformed": 1,
        "rejected.unknown_webhook": 1,
        "rejected.body_too_large": 1,
        "backlog": 1,
        "held_now": 1,
        "dispatched": 2,
        "outcome.succeeded": 1,
        "outcome.failed": 1,
        "mails.waiting": 1,
        "mails.sent": 2,
    }
    assert (figures["backlog"], figures["mails.waiting"]) == (["2|g"], ["2|c"])


@pytest.mark.long
def test_nothing_is_sent_where_metrics_are_off(mailing_hook, statsd):
    produce_every_metric(statsd, mailing_hook.path, AIRFLOW__METRICS__STATSD_ON="False")
    assert sent(statsd) == {}


def test_a_figure_costs_next_to_nothing_where_metrics_are_off():
    import timeit

    from inbound_webhooks.monitoring import metrics

    metrics.count("warm_up")
    assert timeit.timeit(lambda: metrics.count("accepted"), number=10_000) < 0.5


def test_names_hold_nothing_of_a_webhook(mailing_hook, statsd):
    produce_every_metric(statsd, mailing_hook.path)
    assert mailing_hook.id not in json.dumps(sent(statsd))
