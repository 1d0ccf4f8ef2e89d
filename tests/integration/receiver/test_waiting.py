"""Responses that wait for a run: what they wait for, what they hold, and what is sent after the time."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.loop import on_the_loop
from tests.infrastructure.waiting_requests import Waiting, create_run, eventually, return_value
from tests.infrastructure.webhooks_builder import (
    change_delivery,
    change_run,
    change_webhook,
    delete_run,
    delivery,
    rows,
    store_webhook,
)

LONG, SHORT = 30, 1
"""Seconds that no test waits for, and that some do."""


@pytest.fixture
def dag(database):
    return store_dag("orders")


@pytest.fixture
def sqlite_dag(sqlite_database):
    return store_dag("orders")


def waiters_of(asgi):
    """The waiters of the endpoint that a test uses."""
    return _receiver_of(asgi).results.waiters


# --- the result ------------------------------------------------------------------------------


def test_the_response_has_the_result_before_airflow_has_marked_the_run(asgi, dag):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    stored = waiting.stored()
    run_id = create_run(stored)
    time.sleep(0.3)
    assert waiting.is_waiting
    return_value(run_id, {"passed": True})
    reply = waiting.reply()
    assert (reply.status, reply.json) == (
        200,
        {
            "status": "completed",
            "delivery_id": stored,
            "run": {"id": run_id, "state": "running"},
            "result": {"passed": True},
        },
    )
    assert reply.header("content-security-policy")
    assert reply.header("x-content-type-options") == "nosniff"


def test_template_status_and_headers_read_the_result_and_the_stored_request(asgi, dag):
    hook = store_webhook(
        wait_seconds=LONG,
        response_template='{"passed": ${Webhook::Result.passed}, "of": "${Webhook::Body.id}"}',
        result_status="{{ 200 if result.passed else 422 }}",
        response_headers={"X-State": "${Webhook::Run.state}", "X-Agent": "${Webhook::Headers.X-Agent}"},
    )
    waiting = Waiting(asgi, hook, b'{"id": "A-7"}', [*JSON, ("x-agent", "curl")])
    return_value(create_run(waiting.stored()), {"passed": False})
    reply = waiting.reply()
    assert (reply.status, reply.json) == (422, {"passed": False, "of": "A-7"})
    assert (reply.header("x-state"), reply.header("x-agent")) == ("running", "curl")


def test_the_result_is_that_of_the_task_that_the_webhook_names(asgi, dag):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG, result_task="work"))
    return_value(create_run(waiting.stored()), [1, "two", None], is_dag_result=False)
    assert waiting.reply().json["result"] == [1, "two", None]


def test_what_another_task_returned_is_no_result(asgi, dag):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    run_id = create_run(waiting.stored())
    return_value(run_id, "secret", is_dag_result=False)
    time.sleep(0.3)
    assert waiting.is_waiting
    change_run(run_id, state="success")
    assert waiting.reply().json["result"] is None


@pytest.mark.parametrize(
    ("state", "status", "named"), [("success", 200, "completed"), ("failed", 500, "failed")]
)
def test_a_run_that_ends_without_a_result_ends_the_wait(asgi, dag, state, status, named):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    change_run(create_run(waiting.stored()), state=state)
    reply = waiting.reply()
    assert (reply.status, reply.json["status"], reply.json["run"]["state"]) == (status, named, state)


@pytest.mark.parametrize("state", ["undeliverable", "cancelled"])
def test_a_run_that_will_never_be_ends_the_wait(asgi, dag, state):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    change_delivery(waiting.stored(), state=state, next_attempt_at=None)
    reply = waiting.reply()
    assert (reply.status, reply.json["status"]) == (500, state)


def test_a_run_that_is_deleted_ends_the_wait(asgi, dag):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    stored = waiting.stored()
    delete_run(create_run(stored))
    change_delivery(stored, state="failed")
    assert waiting.reply().json["status"] == "failed"


@pytest.mark.parametrize(
    ("value", "result", "error"),
    [
        ("x" * (1024 * 1024 - 2), "x" * (1024 * 1024 - 2), None),
        ("x" * (1024 * 1024 - 1), None, "The result is larger than 1048576 characters."),
        ({"__classname__": "builtins.tuple", "__version__": 1, "__data__": [1, 2]}, [1, 2], None),
        (
            {"at": {"__classname__": "datetime.datetime", "__data__": {}}},
            None,
            "The result is not plain JSON.",
        ),
        (None, None, None),
        (False, False, None),
    ],
    ids=["a mebibyte", "more", "a tuple", "an object", "null", "false"],
)
def test_results_are_json_of_limited_size(asgi, dag, value, result, error):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    return_value(create_run(waiting.stored()), value)
    reply = waiting.reply()
    assert (reply.status, reply.json["result"], reply.json.get("error")) == (200, result, error)


def test_what_a_custom_backend_stores_elsewhere_is_not_sent(asgi, dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__XCOM_BACKEND", "company.backends.BucketXCom")
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    return_value(create_run(waiting.stored()), "s3://bucket/private/key")
    reply = waiting.reply()
    assert (reply.json["result"], "elsewhere" in reply.json["error"]) == (None, True)


def test_a_mapped_tasks_results_are_a_list_when_the_run_has_ended(sqlite_dag):
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import update

    from inbound_webhooks.airflow_bridge.run_results import Sought, look_up, read_result
    from inbound_webhooks.storage.database import autocommit
    from tests.infrastructure.webhooks_builder import store_delivery

    stored = store_delivery(store_webhook())
    run_id = create_run(stored)
    sought = Sought(stored, "orders", "work")
    with settings.engine.begin() as connection:
        connection.execute(update(TaskInstance.__table__).values(map_index=0))
    _return_mapped(run_id, 0, "first")
    assert autocommit(lambda it: look_up(it, [sought])) == {}
    change_run(run_id, state="success")
    ready = autocommit(lambda it: look_up(it, [sought]))[sought]
    assert autocommit(lambda it: read_result(it, sought, ready)).result == ["first"]


def test_results_that_come_at_the_same_time_are_read_one_after_the_other(sqlite_dag):
    from inbound_webhooks.airflow_bridge.run_results import Ready, Sought, look_up
    from inbound_webhooks.storage.database import autocommit
    from tests.infrastructure.webhooks_builder import store_delivery

    hook = store_webhook()
    sought = [Sought(store_delivery(hook), "orders", "work") for _ in range(3)]
    for each in sought:
        return_value(create_run(each.delivery_id), "x" * 1_000)
    with noted_statements() as statements:
        found = autocommit(lambda it: look_up(it, sought))
    assert [type(found[each]) for each in sought] == [Ready] * 3
    assert len(statements) == 1


def test_a_result_that_a_retry_deletes_before_it_is_read_is_none(sqlite_dag):
    from inbound_webhooks.airflow_bridge.run_results import Ready, Sought, read_result
    from inbound_webhooks.storage.database import autocommit

    sought = Sought("d" * 32, "orders", "work")
    assert autocommit(lambda it: read_result(it, sought, Ready(1, "run", "running"))) is None
    ended = autocommit(lambda it: read_result(it, sought, Ready(1, "run", "failed")))
    assert (ended.state, ended.run_state) == ("failed", "failed")


def _return_mapped(run_id: str, map_index: int, value: object) -> None:
    from airflow import settings
    from airflow.models.xcom import XComModel

    with settings.NonScopedSession() as session, session.begin():
        XComModel.set(
            key="return_value",
            value=value,
            dag_id="orders",
            task_id="work",
            run_id=run_id,
            map_index=map_index,
            serialize=False,
            session=session,
        )


# --- the end of the wait -----------------------------------------------------------------------


def get(asgi, location: str, method: str = "GET"):
    path = urlsplit(location).path
    return asgi.request(method, path if path.startswith("/pluginsv2") else f"/pluginsv2{path}")


def test_after_the_time_the_sender_gets_a_url_that_has_the_result_later(asgi, dag):
    hook = store_webhook(wait_seconds=SHORT, response_template='{"n": ${Webhook::Result.n}}')
    waiting = Waiting(asgi, hook)
    stored = waiting.stored()
    run_id = create_run(stored)
    reply = waiting.reply()
    assert (reply.status, reply.json) == (202, {"status": "accepted", "delivery_id": stored})
    assert int(reply.header("retry-after")) > 0
    location = reply.header("location")
    assert f"/webhook/result/{stored}/" in location
    unfinished = get(asgi, location)
    assert (unfinished.status, unfinished.json) == (202, {"status": "accepted", "delivery_id": stored})
    assert int(unfinished.header("retry-after")) > 0
    return_value(run_id, {"n": 7})
    finished = get(asgi, location)
    assert (finished.status, finished.json) == (200, {"n": 7})
    assert finished.header("content-security-policy")
    assert finished.header("cache-control") == "no-store"
    assert get(asgi, location, "HEAD").body == b""
    assert (get(asgi, location, "OPTIONS").status, get(asgi, location, "POST").status) == (204, 405)
    assert get(asgi, location, "POST").header("allow") == "GET, HEAD, OPTIONS"


def test_of_the_token_only_a_hash_is_stored_and_no_log_of_responses_has_it(asgi, dag):
    from inbound_webhooks.deliveries.sent_response import sent_response
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery

    waiting = Waiting(asgi, store_webhook(wait_seconds=SHORT))
    location = waiting.reply().header("location")
    token = location.rpartition("/")[2]
    on_the_loop(_flushed(asgi))
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.connect() as connection:
        stored = [str(connection.execute(table.select()).all()) for table in tables.metadata.sorted_tables]
    assert len(token) == 64
    assert not any(token in text for text in stored)
    with transaction() as connection:
        kept = sent_response(connection, find_delivery(connection, rows("delivery")[0].id))
    assert (kept.status, dict(kept.headers)["Location"].partition("/result/")[2]) == (202, "***/***")


async def _flushed(asgi) -> None:
    _receiver_of(asgi).responses.flush()


def _receiver_of(asgi):
    from inbound_webhooks.receiver.instance import get_receiver

    # The gateway's is made with its first request.
    app = eventually(lambda: getattr(asgi, "app", None))
    return getattr(app, "_receiver", None) or get_receiver()


def test_an_unknown_result_and_a_wrong_token_get_the_same_404(asgi, dag):
    waiting = Waiting(asgi, store_webhook(wait_seconds=SHORT))
    location = urlsplit(waiting.reply().header("location")).path
    base, _, token = location.rpartition("/")
    delivery_id = base.rpartition("/")[2]
    wrong = get(asgi, f"{base}/{token[:-1]}{'0' if token[-1] != '0' else '1'}")
    unknown = get(asgi, location.replace(delivery_id, "0" * 32))
    no_result = get(asgi, f"/webhook/result/{delivery_id}")
    webhook = get(asgi, f"/webhook/{'a' * 10}/{token}")
    assert {reply.status for reply in (wrong, unknown, no_result, webhook)} == {404}
    assert wrong.body == unknown.body == no_result.body == webhook.body


def test_a_result_needs_its_webhook_enabled_and_its_sender_admitted(asgi, dag):
    hook = store_webhook(wait_seconds=SHORT, allowed_addresses=["192.0.2.0/24"])
    location = Waiting(asgi, hook).reply().header("location")
    path = urlsplit(location).path
    path = path if path.startswith("/pluginsv2") else f"/pluginsv2{path}"
    assert asgi.request("GET", path, peer="198.51.100.1").status == 403
    assert asgi.request("GET", path).status == 202
    change_webhook(hook.id, enabled=False)
    assert asgi.request("GET", path).status == 403


@pytest.mark.parametrize("change", [{"dag_id": "others"}, {"wait_seconds": None, "prefer_wait": False}])
def test_a_url_has_no_result_that_its_webhook_does_not_send_any_more(asgi, dag, change):
    store_dag("others")
    hook = store_webhook(wait_seconds=SHORT, result_task="work")
    reply = Waiting(asgi, hook).reply()
    return_value(create_run(reply.json["delivery_id"]), 7)
    assert get(asgi, reply.header("location")).status == 200
    change_webhook(hook.id, **change)
    assert get(asgi, reply.header("location")).status == 404


def test_a_repeated_event_gets_no_result_of_the_dag_that_its_webhook_had_before(asgi, dag):
    store_dag("others")
    hook = store_webhook(wait_seconds=SHORT, result_task="work", dedup="${Webhook::Body.id}")
    stored = Waiting(asgi, hook, b'{"id": 1}').reply().json["delivery_id"]
    return_value(create_run(stored), 7)
    change_webhook(hook.id, dag_id="others", wait_seconds=LONG)
    reply = Waiting(asgi, hook, b'{"id": 1}').reply()
    assert (reply.status, reply.json) == (202, {"status": "accepted", "delivery_id": stored})
    assert reply.header("location") is None


@pytest.mark.parametrize("what", ["paused", "full", "stopping"])
def test_where_it_cannot_wait_it_is_sent_at_once(asgi, dag, configure, what):
    if what == "paused":
        change_dag("orders", is_paused=True)
    if what == "full":
        configure(max_waiters=1)
    hook = store_webhook(wait_seconds=LONG, prefer_wait=True)
    prefers = [*JSON, ("prefer", f"wait={LONG}")]
    first = Waiting(asgi, hook, headers=prefers)
    first.stored()
    eventually(lambda: what != "full" or waiters_of(asgi).number == 1)
    started = time.monotonic()
    if what == "stopping":
        on_the_loop(_stop(asgi))
    reply = (Waiting(asgi, hook, headers=prefers) if what == "full" else first).reply()
    assert time.monotonic() - started < 5
    assert (reply.status, bool(reply.header("location"))) == (202, True)
    assert reply.header("preference-applied") is None or what == "stopping"
    if what == "full":
        assert first.is_waiting
        on_the_loop(_stop(asgi))
        first.reply()


async def _stop(asgi) -> None:
    waiters_of(asgi).stop()


def test_an_unexpected_error_does_not_make_a_sender_repeat_an_accepted_event(asgi, dag):
    hook = store_webhook(wait_seconds=LONG, response_template='"${Webhook::Body.id}"')
    waiting = Waiting(asgi, hook)
    stored = waiting.stored()
    change_delivery(stored, headers="no JSON")
    return_value(create_run(stored), 7)
    reply = waiting.reply()
    assert (reply.status, reply.json) == (202, {"status": "accepted", "delivery_id": stored})
    assert reply.header("location")


def test_a_repeated_event_waits_for_the_first_ones_run(asgi, dag):
    hook = store_webhook(wait_seconds=LONG, dedup="${Webhook::Body.id}")
    first = Waiting(asgi, hook, b'{"id": 1}')
    stored = first.stored()
    second = Waiting(asgi, hook, b'{"id": 1}')
    eventually(lambda: waiters_of(asgi).number == 2)
    return_value(create_run(stored), 7)
    assert [it.reply().json["result"] for it in (first, second)] == [7, 7]
    late = Waiting(asgi, hook, b'{"id": 1}').reply()
    assert (late.json["result"], late.json["delivery_id"], len(rows("delivery"))) == (7, stored, 1)


def test_a_delivery_has_ten_result_urls_however_often_its_event_comes(sqlite_dag):
    from inbound_webhooks.storage.database import autocommit
    from inbound_webhooks.storage.result_tokens import insert_token

    stored = [autocommit(lambda it, n=n: insert_token(it, "d" * 32, str(n))) for n in range(12)]
    assert stored == [True] * 10 + [False] * 2


def test_a_sender_chooses_where_the_webhook_lets_it(asgi, dag):
    hook = store_webhook(prefer_wait=True)
    assert asgi.post(hook.path).header("location") is None
    started = time.monotonic()
    reply = Waiting(asgi, hook, headers=[*JSON, ("prefer", "wait=1")]).reply()
    assert time.monotonic() - started > 0.9
    assert (reply.status, bool(reply.header("location"))) == (202, True)
    assert reply.header("preference-applied") == "wait=1"


@pytest.mark.parametrize(
    ("preference", "applied"), [("respond-async", "respond-async"), ("wait=0", "wait=0"), ("safe", None)]
)
def test_a_response_at_once_names_the_preference_that_was_applied(asgi, dag, preference, applied):
    hook = store_webhook(prefer_wait=True, dedup="${Webhook::Body.id}")
    for _ in ("the first event", "its repetition"):
        reply = asgi.post(hook.path, b'{"id": 1}', headers=[*JSON, ("prefer", preference)])
        assert (reply.status, reply.header("preference-applied")) == (202, applied)


# --- what a wait holds ---------------------------------------------------------------------------


def test_a_wait_holds_no_slot_and_no_thread(asgi, dag, configure):
    configure(max_concurrent_requests=1, gateway_max_concurrent_requests=1, max_waiters=100)
    hook = store_webhook(wait_seconds=LONG)
    waiting = [Waiting(asgi, hook) for _ in range(30)]
    eventually(lambda: waiters_of(asgi).number == 30)
    assert asgi.post(store_webhook("another").path).status == 202
    for each in waiting:
        each.leave()
    eventually(lambda: waiters_of(asgi).number == 0)


def test_requests_for_results_that_are_costly_leave_room_for_other_webhooks(asgi, sqlite_dag, configure):
    configure(max_concurrent_requests=4, gateway_max_concurrent_requests=4)
    costly = store_webhook(wait_seconds=SHORT, result_task="work", result_status=COSTLY)
    plain = store_webhook("plain")
    paths = [_path_of_result(costly, body=b"[" + b"1," * 10_000 + b"1]") for _ in range(8)]
    assert [asgi.request("GET", paths[0]).status, asgi.post(plain.path).status] == [500, 202]
    ended = []

    async def note(name, sending):
        ended.append((name, (await sending).status))

    headers = [*JSON, ("content-length", "2")]
    post = asgi.send("POST", plain.path, headers=headers, chunks=[b"{}"])
    asgi.together(*(note("costly", asgi.send("GET", path)) for path in paths[1:]), note("plain", post))
    assert ("plain", 202) in ended[:2]


COSTLY = "{{ [" + "body | tojson | sha256, " * 40 + "] | length }}"


def _path_of_result(hook, **columns) -> str:
    """The path of the result of a run that has succeeded."""
    from inbound_webhooks.storage.database import autocommit
    from inbound_webhooks.storage.result_tokens import insert_token
    from tests.infrastructure.webhooks_builder import store_delivery

    headers = json.dumps([["Content-Type", "application/json"]])
    stored = store_delivery(hook, headers=headers, **columns)
    change_run(create_run(stored), state="success")
    autocommit(lambda it: insert_token(it, stored, "a" * 64))
    return f"/pluginsv2/webhook/result/{stored}/{'a' * 64}"


def test_a_wait_holds_nothing_of_a_body(asgi, dag):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG), b'"' + b"canary" * 50_000 + b'"')
    waiting.stored()
    eventually(lambda: waiters_of(asgi).number == 1)
    assert not _bytes_with(b"canary" * 1_000)
    waiting.leave()


def _bytes_with(part: bytes) -> list[int]:
    """The lengths of all bytes in memory that a garbage collector can reach and that contain a part."""
    import gc

    from msgspec import Struct

    gc.collect()
    parents = gc.get_objects()
    # The collector does not track structs that hold no container.
    parents += [it for each in parents for it in gc.get_referents(each) if issubclass(type(it), Struct)]
    held = {id(it): it for each in parents for it in gc.get_referents(each) if type(it) is bytes}
    return [len(it) for it in held.values() if len(it) > 100_000 and part in it]


def test_a_wait_ends_with_its_client(asgi, dag):
    waiting = Waiting(asgi, store_webhook(wait_seconds=LONG))
    waiting.stored()
    eventually(lambda: waiters_of(asgi).number == 1)
    waiting.leave()
    eventually(lambda: waiters_of(asgi).number == 0)
    assert waiting.reply().status == 0


def test_one_webhook_has_a_share_of_the_waiters(asgi, dag, configure):
    configure(max_waiters=4, webhook_waiters_percent=50)
    hook = store_webhook(wait_seconds=LONG)
    waiting = [Waiting(asgi, hook) for _ in range(2)]
    eventually(lambda: waiters_of(asgi).number == 2)
    assert Waiting(asgi, hook).reply().status == 202
    waiting.append(Waiting(asgi, store_webhook("another", wait_seconds=LONG)))
    eventually(lambda: waiters_of(asgi).number == 3)
    for each in waiting:
        each.leave()


@contextmanager
def noted_statements():
    """The statements that Airflow's database gets meanwhile."""
    from airflow import settings
    from sqlalchemy import event

    seen: list[str] = []

    def note(_connection, _cursor, statement, *_more):
        seen.append(statement)

    event.listen(type(settings.engine), "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(type(settings.engine), "before_cursor_execute", note)


def test_one_query_serves_all_waiters_and_none_is_sent_without_any(asgi, dag):
    hook = store_webhook(wait_seconds=LONG)
    waiting = [Waiting(asgi, hook) for _ in range(20)]
    eventually(lambda: waiters_of(asgi).number == 20)
    with noted_statements() as seen:
        time.sleep(1.05)
        looked = [it for it in seen if "dag_run" in it]
        for each in waiting:
            each.leave()
        eventually(lambda: waiters_of(asgi).number == 0)
        time.sleep(0.3)
        seen.clear()
        time.sleep(0.5)
    assert 3 <= len(looked) <= 12
    assert seen == []


# --- what is kept --------------------------------------------------------------------------------


def test_the_response_after_the_wait_is_the_one_that_is_kept(asgi, dag):
    from inbound_webhooks.deliveries.sent_response import sent_response
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery

    hook = store_webhook(
        wait_seconds=LONG, result_status="422", response_headers={"X-A": "${Webhook::Result}"}
    )
    waiting = Waiting(asgi, hook)
    stored = waiting.stored()
    assert delivery(stored).response_status == 202
    return_value(create_run(stored), 7)
    reply = waiting.reply()
    on_the_loop(_flushed(asgi))
    with transaction() as connection:
        kept = sent_response(connection, find_delivery(connection, stored))
    assert (kept.status, kept.body, dict(kept.headers)["X-A"]) == (422, reply.body.decode(), "7")


def test_tokens_of_results_are_deleted_with_the_retention(database):
    from datetime import timedelta

    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage.database import autocommit
    from inbound_webhooks.storage.result_tokens import insert_token
    from tests.infrastructure.webhooks_builder import now, store_delivery

    stored = store_delivery(store_webhook(), state="succeeded", next_attempt_at=None)
    autocommit(lambda it: insert_token(it, stored, "a"))
    RetentionJob(Settings()).clean()
    assert _tokens() == 1
    RetentionJob(Settings(), now=lambda: now() + timedelta(days=31)).clean()
    assert _tokens() == 0


def _tokens() -> int:
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.connect() as connection:
        return len(connection.execute(tables.result_token.select()).all())


def test_a_preview_says_for_how_long_and_for_what_it_would_wait(sqlite_dag):
    from inbound_webhooks.deliveries.preview import preview_request
    from inbound_webhooks.receiver.instance import get_receiver
    from inbound_webhooks.webhooks import service

    hook = store_webhook(wait_seconds=20, result_task="work")
    found = preview_request(
        get_receiver(), service.get(hook.id), method="POST", query_string="", headers=JSON, body=b"{}"
    )
    assert found["note"].startswith("The response would wait up to 20 s for the result of task work")
    assert (found["status"], json.loads(found["body"])["status"]) == (202, "accepted")
