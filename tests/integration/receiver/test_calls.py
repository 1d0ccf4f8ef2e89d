"""The URL of a waiting task: who is answered what, and what is stored of a call."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from inbound_webhooks.records.delivery import Delivery
from inbound_webhooks.records.wait import Wait
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.waits import insert_call, insert_waits
from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.waits_builder import (
    PARKED,
    STARTING,
    change_task,
    clear_task,
    fail_while_queued,
    store_waiting_task,
    tasks_at,
    wait_again,
    wait_of,
)
from tests.infrastructure.webhooks_builder import PREFIX, delete_run, now, rows, runs, states

DONE = b'{"status": "done", "epochs": 3}'


@pytest.fixture
def waiting(database):
    return store_waiting_task()


# --- accepted -------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [PARKED, STARTING], ids=["parked", "starting"])
def test_a_call_is_committed_and_answered_202(asgi, database, task):
    waiting = store_waiting_task(**task)
    reply = asgi.post(waiting.path, DONE)
    (stored,) = rows("delivery")
    assert (reply.status, reply.json) == (202, {"status": "accepted", "delivery_id": stored.id})
    assert (stored.state, stored.webhook_id, stored.webhook_name) == ("accepted", "wait", "training.work")
    assert (stored.wait_id, stored.body) == (waiting.id, DONE)
    assert (wait_of(waiting).state, wait_of(waiting).delivery_id) == ("waiting", stored.id)


def test_a_second_call_is_a_duplicate_of_the_first_one(asgi, waiting):
    first = asgi.post(waiting.path, DONE)
    second = asgi.post(waiting.path, b'{"status": "failed"}')
    assert (second.status, second.json["status"]) == (202, "duplicate")
    assert second.json["delivery_id"] == first.json["delivery_id"]
    assert len(rows("delivery")) == 1


def test_the_result_is_the_whole_event_without_credentials(asgi, sqlite_database):
    waiting = store_waiting_task()
    headers = [*JSON, ("x-epoch", "3"), ("authorization", "Bearer of a stranger")]
    asgi.post(waiting.path, DONE, headers, query=b"step=2&token=secret")
    result = json.loads(rows("delivery")[0].conf)["result"]
    assert (result["body"], result["query"]) == (json.loads(DONE), {"step": ["2"]})
    assert result["headers"]["X-Epoch"] == ["3"]
    assert "Authorization" not in result["headers"]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("${Webhook::Body.epochs}", 3),
        ("${Webhook::Body.missing}", None),
        ("${Webhook::Body.status} after ${Webhook::Body.epochs}", "done after 3"),
        ("${Webhook::Body}", {"status": "done", "epochs": 3}),
    ],
)
def test_an_expression_selects_the_result(asgi, sqlite_database, expression, result):
    waiting = store_waiting_task(result=expression)
    assert asgi.post(waiting.path, DONE).status == 202
    assert json.loads(rows("delivery")[0].conf) == {"result": result}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"status": "failed", "message": "out of memory"}', "out of memory"),
        (b'{"status": "failed", "error": {"message": "no GPU"}}', "no GPU"),
        (b'{"status": "failed"}', '{"status":"failed"}'),
    ],
)
def test_a_call_that_fails_its_task_keeps_the_payloads_message(asgi, sqlite_database, body, message):
    waiting = store_waiting_task(fail_when="body.status == 'failed'")
    assert asgi.post(waiting.path, body).status == 202
    assert json.loads(rows("delivery")[0].conf) == {"failure": message}


def test_a_long_message_is_truncated(asgi, sqlite_database):
    waiting = store_waiting_task(fail_when="true")
    asgi.post(waiting.path, json.dumps({"message": "m" * 10_000}).encode())
    assert json.loads(rows("delivery")[0].conf) == {"failure": "m" * 500 + "…"}


def test_bodies_that_are_not_to_be_stored_still_give_a_result(asgi, sqlite_database, configure):
    configure(store_bodies="False")
    waiting = store_waiting_task(result="${Webhook::Body.epochs}")
    assert asgi.post(waiting.path, DONE).status == 202
    (stored,) = rows("delivery")
    assert (stored.body, stored.conf) == (b"", '{"result":3}')


# --- not accepted ---------------------------------------------------------------------------


def test_an_unknown_wait_and_a_wrong_token_get_the_same_404(asgi, waiting):
    unknown = asgi.post(f"{PREFIX}/wait/{'0' * 32}/{waiting.token}", DONE)
    wrong = asgi.post(f"{PREFIX}/wait/{waiting.id}/{'8' * 64}", DONE)
    assert (unknown.status, unknown.headers, unknown.body) == (wrong.status, wrong.headers, wrong.body)
    assert (unknown.status, unknown.chunks_read, wrong.chunks_read) == (404, 0, 0)
    assert (rows("delivery"), wait_of(waiting)) == ([], None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT"])
def test_other_methods_are_405(asgi, sqlite_database, method):
    reply = asgi.request(method, store_waiting_task().path)
    assert (reply.status, reply.header("allow")) == (405, "POST")


@pytest.mark.parametrize(
    ("status", "body", "options"),
    [
        (413, json.dumps("x" * 1024 * 1024).encode(), {}),
        (422, b'{"__classname__": "airflow.models.Connection"}', {}),
        (400, b"no JSON", {"result": "${Webhook::Body.status}"}),
        (422, b'{"a": "x"}', {"result": "{{ body.a + 1 }}"}),
    ],
    ids=["a large result", "a reserved key", "a malformed body", "an expression that fails"],
)
def test_content_that_cannot_be_used_is_refused_and_the_task_waits_on(
    asgi, sqlite_database, status, body, options
):
    waiting = store_waiting_task(**options)
    assert asgi.post(waiting.path, body).status == status
    assert (wait_of(waiting).state, wait_of(waiting).refused_calls) == ("waiting", 1)
    assert asgi.post(waiting.path, b'{"a": 1}').status == 202


def test_a_call_after_the_deadline_is_410(asgi, database):
    waiting = store_waiting_task(created_at=now() - timedelta(hours=2), timeout=timedelta(hours=1))
    assert asgi.post(waiting.path, DONE).status == 410
    assert rows("delivery") == []


@pytest.mark.parametrize("state", ["success", "failed", "skipped"])
def test_a_call_after_the_task_has_ended_is_410(asgi, database, state):
    waiting = store_waiting_task(state=state, next_method=None)
    assert asgi.post(waiting.path, DONE).status == 410


def test_a_call_after_something_else_resumed_the_task_is_410(asgi, database):
    waiting = store_waiting_task()
    change_task(waiting, state="scheduled")
    assert asgi.post(waiting.path, DONE).status == 410


def test_a_call_after_the_run_was_deleted_is_410_where_the_wait_is_stored(asgi, database):
    known = store_waiting_task(run_id="known")
    tasks_at().review()
    unknown = store_waiting_task(run_id="unknown")
    for run in runs():
        delete_run(run.run_id)
    assert asgi.post(known.path, DONE).status == 410
    assert asgi.post(unknown.path, DONE).status == 404
    assert states() == []


@pytest.mark.parametrize("is_stored", [True, False], ids=["stored", "not stored"])
def test_the_url_of_an_earlier_try_is_404(asgi, database, is_stored):
    waiting = store_waiting_task()
    if is_stored:
        tasks_at().review()
    clear_task(waiting)
    assert asgi.post(waiting.path, DONE).status == 404


def test_a_try_with_the_id_of_the_one_before_has_a_url_of_its_own(asgi, database):
    first = store_waiting_task()
    assert asgi.post(first.path, DONE).status == 202
    tasks_at().look()
    fail_while_queued(first)
    again = wait_again(first)
    assert asgi.post(first.path, DONE).status == 404
    replies = [asgi.post(again.path, DONE) for _ in range(2)]
    assert [(reply.status, reply.json["status"]) for reply in replies] == [
        (202, "accepted"),
        (202, "duplicate"),
    ]
    assert asgi.post(first.path, DONE).status == 404


def test_a_call_that_was_admitted_before_the_next_try_is_no_call_of_it(asgi, database):
    first = store_waiting_task()
    asgi.post(first.path, DONE)
    admitted = Wait(**wait_of(first)._mapping)
    call = Delivery(**rows("delivery")[0]._mapping)
    fail_while_queued(first)
    again = wait_again(first)
    tasks_at().review()
    with transaction() as connection:
        insert_waits(connection, [admitted])
        assert insert_call(connection, call, token_sha256=admitted.token_sha256) is None
    assert (wait_of(again).try_number, wait_of(again).delivery_id) == (admitted.try_number + 1, None)


def test_the_next_try_does_not_inherit_the_token(asgi, database):
    waiting = store_waiting_task()
    clear_task(waiting)
    from tests.infrastructure.waits_builder import task_of

    next_id = task_of(waiting.run_id).id.hex
    assert asgi.post(f"{PREFIX}/wait/{next_id}/{waiting.token}", DONE).status == 404
