"""An event that comes twice is one delivery and one run, wherever and however close together it comes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.endpoint_process import EndpointProcess
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    Hook,
    change_webhook,
    rows,
    runs,
    states,
    store_delivery,
    store_webhook,
    token_of,
)

DEDUP = "${Webhook::Body.id}"
EVENT = b'{"id": "evt_1", "number": 1}'


def dispatch() -> None:
    """One round of a dispatcher."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    while Dispatcher(Settings()).dispatch_due():
        continue


def deduplicating(name: str = "orders of the shop", **fields: Any) -> Hook:
    return store_webhook(name, dedup=DEDUP, **fields)


# --- one after the other --------------------------------------------------------------------


def test_the_same_id_twice_is_one_delivery_and_one_run(asgi, database):
    store_dag("orders")
    hook = deduplicating()
    first, second = asgi.post(hook.path, EVENT), asgi.post(hook.path, EVENT)
    (stored,) = rows("delivery")
    assert (first.status, first.json) == (202, {"status": "accepted", "delivery_id": stored.id})
    assert (second.status, second.json) == (202, {"status": "duplicate", "delivery_id": stored.id})
    dispatch()
    assert [run.run_id for run in runs()] == [f"webhook__{stored.id}"]


def test_the_same_id_with_another_body_is_the_same_event(asgi, sqlite_database):
    hook = deduplicating()
    asgi.post(hook.path, EVENT)
    assert asgi.post(hook.path, b'{"id": "evt_1", "attempt": 2}').json["status"] == "duplicate"
    assert [row.body for row in rows("delivery")] == [EVENT]


def test_another_id_is_another_event(asgi, database):
    hook = deduplicating()
    replies = [asgi.post(hook.path, b'{"id": "evt_%d"}' % number) for number in range(3)]
    assert [reply.json["status"] for reply in replies] == ["accepted"] * 3


@pytest.mark.parametrize("body", [b"{}", b'{"id": ""}', b'{"id": null}'])
def test_events_without_an_id_are_each_their_own(asgi, database, body):
    hook = deduplicating()
    assert [asgi.post(hook.path, body).json["status"] for _ in range(2)] == ["accepted"] * 2
    assert [row.dedup_key for row in rows("delivery")] == [None, None]


def test_without_an_expression_every_request_is_an_event(asgi, sqlite_database):
    hook = store_webhook()
    assert [asgi.post(hook.path, EVENT).json["status"] for _ in range(2)] == ["accepted"] * 2


def test_an_id_at_one_webhook_says_nothing_at_another(asgi, database):
    hooks = [deduplicating("first"), deduplicating("second")]
    assert [asgi.post(hook.path, EVENT).json["status"] for hook in hooks] == ["accepted"] * 2


@pytest.mark.parametrize(
    "named", ['"\\u0000"', '"\\ud800"', '{"a": [1]}', "1e300", "true", json.dumps("x" * 1_000_000), '"🎉"']
)
def test_whatever_an_id_is_it_differs_from_others(asgi, database, named):
    hook = deduplicating(mapping={"number": "${Webhook::Body.number}"})
    body = f'{{"id": {named}}}'.encode()
    assert [asgi.post(hook.path, body).json["status"] for _ in range(2)] == ["accepted", "duplicate"]
    assert asgi.post(hook.path, b'{"id": "?"}').json["status"] == "accepted"


# --- the answer -----------------------------------------------------------------------------


def test_a_template_answers_as_it_did_before(asgi, sqlite_database):
    template = '{"got": ${Webhook::Delivery.event_type}, "as": ${Webhook::Delivery.id}}'
    hook = deduplicating(response_template=template, response_status=201, event_type="order")
    first, second = asgi.post(hook.path, EVENT), asgi.post(hook.path, EVENT)
    assert first.json == {"got": "order", "as": rows("delivery")[0].id}
    assert (second.status, second.body) == (201, first.body)


def test_a_template_that_does_not_fit_names_the_first_delivery(asgi, sqlite_database):
    hook = deduplicating(response_template='{"a": {{ body.id + body.number }}}')
    first, second = asgi.post(hook.path, EVENT), asgi.post(hook.path, EVENT)
    assert second.json == {"status": "duplicate", "delivery_id": first.json["delivery_id"]}
    assert second.status == first.status == 202


@pytest.mark.parametrize("status", [204, 205])
def test_a_status_without_a_body_stays_without_one(asgi, sqlite_database, status):
    hook = deduplicating(response_status=status)
    replies = [asgi.post(hook.path, EVENT) for _ in range(2)]
    assert [(reply.status, reply.body) for reply in replies] == [(status, b"")] * 2
    assert len(rows("delivery")) == 1


# --- who holds an id ------------------------------------------------------------------------


def test_a_refused_event_is_judged_afresh_when_it_comes_again(asgi, orders):
    change_webhook(orders.id, dedup=DEDUP)
    body = b'{"id": "evt_1", "number": "many", "count": 3}'
    assert [asgi.post(orders.path, body).status for _ in range(2)] == [422, 422]
    change_webhook(orders.id, dedup=DEDUP, mapping={"number": "${Webhook::Body.count}"})
    assert asgi.post(orders.path, body).json["status"] == "accepted"
    assert states() == ["accepted", "refused", "refused"]


def test_a_filtered_event_stays_filtered_when_it_comes_again(asgi, database):
    hook = deduplicating(filter="body.number == 2")
    first = asgi.post(hook.path, EVENT)
    change_webhook(hook.id, filter=None)
    second = asgi.post(hook.path, EVENT)
    assert (first.status, first.json["status"]) == (200, "filtered")
    assert second.json == {"status": "duplicate", "delivery_id": first.json["delivery_id"]}
    assert states() == ["filtered"]


@pytest.mark.parametrize("state", ["dispatched", "undeliverable", "cancelled"])
def test_what_became_of_the_first_makes_no_difference(asgi, sqlite_database, state):
    import hashlib

    hook = deduplicating()
    first = store_delivery(hook, state=state, dedup_key=hashlib.sha256(b"evt_1").hexdigest())
    assert asgi.post(hook.path, EVENT).json == {"status": "duplicate", "delivery_id": first}


def test_a_rejected_request_holds_no_id(asgi, sqlite_database):
    verification = [{"kind": "header-key", "header": "X-Key"}]
    hook = deduplicating(verification=verification, secrets={"signing": "right"})
    assert asgi.post(hook.path, EVENT, [*JSON, ("x-key", "wrong")]).status == 401
    assert asgi.post(hook.path, EVENT, [*JSON, ("x-key", "right")]).json["status"] == "accepted"


def test_a_deleted_webhooks_ids_mean_nothing_to_the_next_one_of_its_name(asgi, database):
    from inbound_webhooks.webhooks import service

    old = deduplicating()
    asgi.post(old.path, EVENT)
    service.delete(old.id, actor=ACTOR)
    assert asgi.post(deduplicating().path, EVENT).json["status"] == "accepted"
    assert states() == ["accepted", "cancelled"]


def test_a_rotated_token_changes_no_id(asgi, sqlite_database):
    from inbound_webhooks.webhooks import service

    hook = deduplicating()
    asgi.post(hook.path, EVENT)
    service.rotate(hook.id, actor=ACTOR)
    again = Hook(hook.id, token_of(hook.id), hook.name)
    assert asgi.post(again.path, EVENT).json["status"] == "duplicate"


@pytest.mark.parametrize("remap", [False, True])
def test_a_replay_is_another_run_and_holds_no_id(asgi, database, remap):
    from inbound_webhooks.deliveries.replay import replay
    from inbound_webhooks.receiver.instance import get_receiver

    hook = deduplicating()
    first = asgi.post(hook.path, EVENT).json["delivery_id"]
    again = [replay(get_receiver(), first, actor=ACTOR, remap=remap).id for _ in range(2)]
    assert len({first, *again}) == 3
    assert asgi.post(hook.path, EVENT).json == {"status": "duplicate", "delivery_id": first}


def test_a_captured_request_with_another_id_is_new_unless_the_bodys_hash_counts(asgi, sqlite_database):
    """GitHub signs the body and not the id."""
    from inbound_webhooks.presets import PRESETS

    alternative = PRESETS["github"].dedup_alternative
    for dedup, expected in ((None, "accepted"), (alternative, "duplicate")):
        fields = {} if dedup is None else {"dedup": dedup}
        hook = store_webhook(f"{expected}", preset="github", secrets={"signing": "mysecret"}, **fields)
        asgi.post(hook.path, *from_github("first"))
        assert asgi.post(hook.path, *from_github("second")).json["status"] == expected


def from_github(delivery: str) -> tuple[bytes, list[tuple[str, str]]]:
    """The octokit library's own example."""
    signature = "sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3"
    headers = [*JSON, ("x-hub-signature-256", signature), ("x-github-delivery", delivery)]
    return b'{"foo":"bar"}', headers


# --- at the same time -----------------------------------------------------------------------


@pytest.mark.parametrize(("end", "status"), [("COMMIT", "duplicate"), ("ROLLBACK", "accepted")])
def test_the_second_request_waits_for_the_outcome_of_the_first(
    asgi, postgres_cluster, postgres_database, end, status
):
    hook = deduplicating()
    first = asgi.post(hook.path, EVENT).json["delivery_id"]
    other = postgres_cluster.connect("airflow")
    other.autocommit = False
    other.cursor().execute("DELETE FROM inbound_webhook_delivery")
    other.commit()
    insert_again(other, hook, first)
    answered: list[Any] = []
    second = threading.Thread(target=lambda: answered.append(asgi.post(hook.path, EVENT)))
    second.start()
    postgres_cluster.wait_until_blocked()
    other.cursor().execute(end)
    second.join(10)
    other.close()
    assert (answered[0].status, answered[0].json["status"]) == (202, status)
    assert len(rows("delivery")) == 1


def insert_again(connection: Any, hook: Hook, delivery_id: str) -> None:
    """What another process has inserted and not committed."""
    import hashlib

    key = hashlib.sha256(b"evt_1").hexdigest()
    connection.cursor().execute(
        "INSERT INTO inbound_webhook_delivery (id, webhook_id, webhook_name, dag_id, state, received_at,"
        " source_ip, query_string, headers, body, response_status, attempts, dedup_key)"
        " VALUES (%s, %s, '', 'orders', 'accepted', now(), '', '', '[]', '', 202, 0, %s)",
        (delivery_id, hook.id, key),
    )


def test_twenty_at_once_are_one_delivery(asgi, orders):
    change_webhook(orders.id, dedup=DEDUP)
    length = ("content-length", str(len(EVENT)))
    sending = [asgi.send("POST", orders.path, headers=[*JSON, length], chunks=[EVENT]) for _ in range(20)]
    answered = [reply.json for reply in asgi.together(*sending)]
    assert sorted(reply["status"] for reply in answered) == ["accepted"] + ["duplicate"] * 19
    assert {reply["delivery_id"] for reply in answered} == {row.id for row in rows("delivery")}


@pytest.fixture
def two_endpoints(postgres_database, tmp_path) -> Iterator[list[int]]:
    """The ports of two receiver processes on one database."""
    endpoints = [EndpointProcess(tmp_path, postgres_database.url, queue_timeout_seconds=60) for _ in range(2)]
    try:
        for endpoint in endpoints:
            endpoint.wait()
        yield [endpoint.port for endpoint in endpoints]
    finally:
        for endpoint in endpoints:
            endpoint.stop()


def test_two_hundred_over_twenty_connections_to_two_processes_are_one_delivery_and_one_run(two_endpoints):
    store_dag("orders")
    hook = deduplicating()
    answered = sent_to(two_endpoints, hook.path, [EVENT] * 10, connections=20)
    (stored,) = rows("delivery")
    assert [status for status, _ in answered] == [202] * 200
    assert sorted(reply["status"] for _, reply in answered) == ["accepted"] + ["duplicate"] * 199
    assert {reply["delivery_id"] for _, reply in answered} == {stored.id}
    dispatch()
    assert [run.run_id for run in runs()] == [f"webhook__{stored.id}"]


def test_twenty_connections_that_send_each_of_thirty_events_at_once_make_thirty_runs(two_endpoints):
    """Only the first of each could get past a check that is not the database's own."""
    store_dag("orders")
    hook = deduplicating()
    events = [b'{"id": "evt_%d"}' % number for number in range(30)]
    answered = sent_to(two_endpoints, hook.path, events, connections=20)
    ids = sorted(row.id for row in rows("delivery"))
    assert len(ids) == 30
    assert sorted(reply["delivery_id"] for _, reply in answered) == sorted(ids * 20)
    dispatch()
    assert sorted(run.run_id for run in runs()) == [f"webhook__{stored}" for stored in ids]


def sent_to(ports: list[int], path: str, bodies: list[bytes], *, connections: int) -> list[tuple[int, Any]]:
    """Statuses and answers when each connection sends each body, all of them at the same time."""
    together = threading.Barrier(connections)

    def send(number: int) -> list[tuple[int, Any]]:
        connection = HTTPConnection("127.0.0.1", ports[number % len(ports)], timeout=60)
        _respond(connection, "GET", path)  # so that no request waits for a first connection to the database
        answered = []
        for body in bodies:
            together.wait(60)
            answered.append(_respond(connection, "POST", path, body))
        connection.close()
        return answered

    with ThreadPoolExecutor(connections) as pool:
        return [one for some in pool.map(send, range(connections)) for one in some]


def _respond(
    connection: HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    connection.request(method, path, body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())
