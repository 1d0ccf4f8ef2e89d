"""Will it fire? Each reason on its own, found in a real database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.infrastructure.dags_builder import change_dag, store_dag
from tests.infrastructure.waiting_requests import create_run, return_value
from tests.infrastructure.webhooks_builder import change_delivery, store_delivery, store_webhook

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def codes(hook) -> list[str]:
    from inbound_webhooks.webhooks import readiness, service

    return [reason.code for reason in readiness.reasons_of(service.get(hook.id))]


def end_credentials(table_name: str) -> None:
    from airflow import settings

    from inbound_webhooks.storage import tables

    with settings.engine.begin() as connection:
        connection.execute(getattr(tables, table_name).update().values(expires_at=NOW - timedelta(days=400)))


DISPATCHER_ID = "d" * 32


def show_dispatcher(seen_at: datetime) -> None:
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.dispatchers import DispatcherRow, note_dispatcher

    row = DispatcherRow(id=DISPATCHER_ID, host="here", pid=1, started_at=seen_at)
    with transaction() as connection:
        note_dispatcher(connection, row, seen_at)


@pytest.fixture
def dispatcher(database):
    show_dispatcher(datetime.now(timezone.utc))


@pytest.fixture
def dag(dispatcher):
    """The DAG `orders` with a required integer and a text that has a default; a dispatcher is at work."""
    from airflow.sdk import Param

    params = {"number": Param(type="integer"), "note": Param("none", type="string", enum=["none", "some"])}
    return store_dag("orders", params=params)


def test_a_webhook_whose_dag_waits_for_it_has_no_reason(dag):
    assert codes(store_webhook(mapping={"number": "${Webhook::Body.number}"})) == []


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"is_paused": True}, "dag-paused"),
        ({"is_stale": True}, "dag-missing"),
        ({"has_import_errors": True}, "dag-import-errors"),
        ({"allowed_run_types": ["scheduled"]}, "run-type"),
    ],
)
def test_the_state_of_the_dag_is_a_reason(dag, columns, code):
    change_dag(dag, **columns)
    assert codes(store_webhook(mapping={"number": "1"})) == [code]


def test_a_dag_that_airflow_does_not_know_is_named(dispatcher):
    from inbound_webhooks.webhooks import readiness, service

    (reason,) = readiness.reasons_of(service.get(store_webhook(dag_id="of tomorrow").id))
    assert (reason.code, reason.severity) == ("dag-missing", "stops")
    assert "of tomorrow" in reason.message


def test_a_disabled_webhook_says_so_first(dag):
    change_dag(dag, is_paused=True)
    assert codes(store_webhook(mapping={"number": "1"}, enabled=False)) == ["disabled", "dag-paused"]


def test_a_required_param_without_an_expression_is_a_broken_mapping(dag):
    assert codes(store_webhook(mapping={"note": "some"})) == ["mapping-breaks"]
    assert codes(store_webhook("without a mapping")) == ["mapping-breaks"]


@pytest.mark.parametrize(("text", "expected"), [("12", []), ("twelve", ["mapping-breaks"])])
def test_a_text_without_an_expression_is_checked_against_the_params(dag, text, expected):
    assert codes(store_webhook(mapping={"number": text})) == expected


def test_a_param_that_cannot_be_checked_in_linear_time_is_named(dispatcher):
    from airflow.sdk import Param

    from inbound_webhooks.webhooks import readiness, service

    params = {"code": Param("a", type="string", pattern="^(?=a)"), "fast": Param("a", pattern="^a")}
    store_dag("slow", params=params)
    hook = store_webhook(dag_id="slow", mapping={"code": "{{ body.code }}", "fast": "{{ body.fast }}"})
    (reason,) = readiness.reasons_of(service.get(hook.id))
    assert (reason.code, reason.severity, reason.part) == ("param-slow", "hint", "code")
    assert reason.message == (
        "The pattern of param code of DAG slow cannot be checked in linear time: it looks ahead or behind. "
        "A value whose check takes longer than 100 milliseconds is refused."
    )


def test_a_parameter_that_the_dag_does_not_have_is_only_a_hint(dag):
    from inbound_webhooks.webhooks import readiness, service

    hook = store_webhook(mapping={"number": "1", "misspelt": "2"})
    (reason,) = readiness.reasons_of(service.get(hook.id))
    assert (reason.code, reason.severity) == ("mapping-unknown", "hint")
    assert "'misspelt'" in reason.message


@pytest.mark.parametrize(
    ("fields", "part"),
    [({"mapping": {"number": "1", "note": "body.note"}}, "note"), ({"dedup": "body.id"}, "")],
    ids=["mapping", "dedup"],
)
def test_a_path_without_braces_is_a_hint(dispatcher, fields, part):
    from inbound_webhooks.webhooks import readiness, service

    store_dag("free")
    hook = store_webhook(dag_id="free", **fields)
    found = readiness.reasons_of(service.get(hook.id))
    (reason,) = [reason for reason in found if reason.code == "path-is-text"]
    assert (reason.severity, reason.part) == ("hint", part)
    assert "${Webhook::Body." in reason.message


def test_a_secret_that_has_ended_is_a_reason(dag):
    hook = store_webhook(mapping={"number": "1"}, preset="github", secrets={"signing": "a secret"})
    assert codes(hook) == []
    end_credentials("secret")
    assert codes(hook) == ["secret-expired"]


def test_a_url_that_has_ended_is_a_reason(dag):
    hook = store_webhook(mapping={"number": "1"})
    end_credentials("token")
    assert codes(hook) == ["no-token"]


def test_a_token_of_another_key_is_a_reason(dag):
    from airflow import settings

    from inbound_webhooks.storage import tables

    hook = store_webhook(mapping={"number": "1"})
    with settings.engine.begin() as connection:
        connection.execute(tables.token.update().values(encrypted="gAAAA of another key"))
    assert codes(hook) == ["token-unreadable"]


@pytest.mark.parametrize(
    ("age", "expected"),
    [(None, ["no-dispatcher"]), (timedelta(minutes=2), ["no-dispatcher"]), (timedelta(seconds=5), [])],
    ids=["never", "long ago", "now"],
)
def test_a_dispatcher_that_is_not_seen_is_a_reason(dag, age, expected):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.dispatchers import forget_dispatcher

    with transaction() as connection:
        forget_dispatcher(connection, DISPATCHER_ID)
    if age is not None:
        show_dispatcher(datetime.now(timezone.utc) - age)
    assert codes(store_webhook(mapping={"number": "${Webhook::Body.number}"})) == expected


# --- responses that wait ---------------------------------------------------------------------


WAITS = {"mapping": {"number": "${Webhook::Body.number}"}, "wait_seconds": 5}


def test_a_wait_for_a_task_that_the_dag_has_is_no_reason(dag):
    assert codes(store_webhook(result_task="work", **WAITS)) == []


def test_a_wait_for_a_task_that_the_dag_lacks_is_named(dag):
    assert codes(store_webhook(result_task="other", **WAITS)) == ["wait-without-result"]


def test_a_wait_for_a_paused_dag_is_named(dag):
    change_dag("orders", is_paused=True)
    assert codes(store_webhook(result_task="work", **WAITS)) == ["dag-paused", "wait-without-result"]


def test_a_wait_where_results_are_stored_elsewhere_is_named(dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__XCOM_BACKEND", "company.backends.BucketXCom")
    assert codes(store_webhook(result_task="work", **WAITS)) == ["wait-without-result"]


@pytest.mark.parametrize(("is_dag_result", "expected"), [(False, ["wait-without-result"]), (True, [])])
def test_a_dag_whose_last_run_had_no_result_is_named(dag, is_dag_result, expected):
    hook = store_webhook(**WAITS)
    stored = store_delivery(hook, conf='{"number": 1}')
    return_value(create_run(stored, state="success"), 7, is_dag_result=is_dag_result)
    assert codes(hook) == []
    change_delivery(stored, state="succeeded")
    assert codes(hook) == expected


# --- batches --------------------------------------------------------------------------------

BATCH = {"batch_size": 10, "batch_seconds": 60}


def sentences(hook) -> list[str]:
    from inbound_webhooks.webhooks import readiness, service

    return [reason.message for reason in readiness.reasons_of(service.get(hook.id))]


def store_dag_for_batches(**more) -> None:
    from airflow.sdk import Param

    item = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
    store_dag("orders", params={"events": Param([], type="array", items=item)} | more)


def test_a_dag_for_batches_has_no_reason(dispatcher):
    store_dag_for_batches()
    assert codes(store_webhook(mapping={"number": "${Webhook::Body.number}"}, **BATCH)) == []


def test_a_param_that_a_batch_cannot_fill_stops_every_run(dispatcher):
    from airflow.sdk import Param

    store_dag_for_batches(region=Param(type="string"))
    hook = store_webhook(mapping={"number": "${Webhook::Body.number}"}, **BATCH)
    assert sentences(hook) == [
        "Param region of DAG orders has no default, and a batch has only the param events."
    ]


def test_a_line_that_no_event_of_a_batch_has_is_named(dispatcher):
    store_dag_for_batches()
    assert codes(store_webhook(mapping={"other": "${Webhook::Body.number}"}, **BATCH)) == [
        "mapping-breaks",
        "mapping-unknown",
    ]


def test_a_dag_that_does_not_know_the_list_of_a_batch_is_named(dag):
    hook = store_webhook(**BATCH)
    assert "DAG orders has no param events; the list of a batch only appears in conf." in sentences(hook)
