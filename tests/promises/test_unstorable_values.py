"""What an expression makes of a request and no database holds: refused at the endpoint, not when it runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import rows, runs, store_webhook

NUL_IN_BASE64 = b'{"x": "YQBi"}'
NUL, HALF = rb'{"x": "\u0000"}', rb'{"x": "\ud800"}'
DECODED, FIELD = "{{ body.x | b64decode }}", "{{ body.x }}"

REFUSED: dict[str, tuple[dict[str, Any], bytes]] = {
    "a NUL that is decoded": ({"mapping": {"value": DECODED}}, NUL_IN_BASE64),
    "a NUL in JSON in a text": ({"mapping": {"value": "{{ body.x | fromjson }}"}}, rb'{"x": "\"\\u0000\""}'),
    "half a pair in JSON in a text": (
        {"mapping": {"value": "{{ body.x | fromjson }}"}},
        rb'{"x": "\"\\ud800\""}',
    ),
    "a NUL for a number": ({"mapping": {"number": FIELD}}, NUL),
    "half a pair between texts": ({"mapping": {"value": "a{{ body.x }}b"}}, HALF),
    "half a pair that names the event": ({"dedup": FIELD}, HALF),
    "half a pair that names its kind": ({"event_type": FIELD}, HALF),
}
TAKEN: dict[str, tuple[dict[str, Any], bytes, Any]] = {
    "a NUL that names the event": ({"dedup": DECODED, "mapping": {"value": "1"}}, NUL_IN_BASE64, None),
    "a NUL that names its kind": ({"event_type": DECODED, "mapping": {"value": "1"}}, NUL_IN_BASE64, "ab"),
    "half a pair that names its kind": ({"event_type": FIELD, "mapping": {"value": "1"}}, HALF, None),
    "a NUL that names a field": ({"mapping": {"value": "{{ body[body.x] }}"}}, NUL, None),
    "half of a whole pair": ({"mapping": {"value": "{{ body.x[0:1] }}"}}, rb'{"x": "\ud83d\ude00"}', None),
}


@pytest.fixture
def dag(database):
    store_dag("orders")


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_database_holds_is_refused_and_kept(dag, asgi, name):
    how, body = REFUSED[name]
    reply = asgi.post(store_webhook(**how).path, body)
    (stored,) = rows("delivery")
    assert (reply.status, stored.state, stored.body, stored.conf) == (422, "refused", body, None)


def test_what_is_taken_beside_it_runs(dag, asgi):
    """A key of deduplication is a hash, and what cannot be printed is left out of the kind of an event."""
    for name, (how, body, _) in TAKEN.items():
        assert asgi.post(store_webhook(name, **how).path, body).status == 202, name
    dispatch()
    stored = {row.webhook_name: row for row in rows("delivery")}
    assert {name: (row.state, row.event_type) for name, row in stored.items()} == {
        name: ("dispatched", event_type) for name, (_, _, event_type) in TAKEN.items()
    }
    confs = {run.run_id: run.conf for run in runs()}
    assert confs == {f"webhook__{row.id}": json.loads(row.conf) for row in stored.values()}


def dispatch() -> None:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    dispatcher = Dispatcher(Settings.load())
    while dispatcher.dispatch_due():
        continue
