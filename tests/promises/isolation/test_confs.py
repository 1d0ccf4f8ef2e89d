"""No value of a request makes its check, or the transaction of its run, hold up anything else for long."""

from __future__ import annotations

import json
import logging
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.sdk import Param
from sqlalchemy import event

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    delivery,
    rows,
    runs,
    store_deliveries,
    store_delivery,
    store_webhook,
)

BACKTRACKING = r"^(\w+\s?)*$"
LOOKING_AHEAD = r"^(?=a)(\w+\s?)*$"
EVIL = "a" * 40 + "!"
"""Checked by a backtracking engine, it would take years."""

MAPPING = {"value": "${Webhook::Body.value}"}


def hook_of(schema: dict[str, Any], name: str = "orders", **fields: Any) -> Any:
    store_dag(name, params={"value": Param(None, **schema)} if schema else {})
    return store_webhook(name, dag_id=name, mapping=MAPPING, **fields)


def body(value: Any) -> bytes:
    return json.dumps({"value": value}, separators=(",", ":")).encode()


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """The processor's time of this process and of those that it has started and ended."""
    before = cpu_seconds()
    yield
    assert cpu_seconds() - before < seconds


@pytest.fixture
def dispatcher():
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings(dispatcher_batch_bytes=1_000))


# --- patterns -------------------------------------------------------------------------------


def test_a_pattern_that_backtracks_costs_the_endpoint_nothing(database, asgi):
    hook = hook_of({"type": ["string", "null"], "pattern": BACKTRACKING})
    assert asgi.post(hook.path, body("a b")).status == 202
    with at_most(0.5):
        reply = asgi.post(hook.path, body(EVIL))
    assert (reply.status, EVIL in reply.body.decode()) == (422, False)


def test_a_pattern_that_looks_ahead_is_given_up_after_100_milliseconds(database, asgi):
    hook = hook_of({"type": ["string", "null"], "pattern": LOOKING_AHEAD})
    assert asgi.post(hook.path, body("a b")).status == 202
    with at_most(1):
        reply = asgi.post(hook.path, body(EVIL))
    assert reply.status == 422
    assert "takes longer than 100 milliseconds" in reply.body.decode()
    # Its process was killed, and the next check has another one.
    assert [asgi.post(hook.path, body(value)).status for value in ("a b", "b")] == [202, 422]


def test_a_slow_check_is_made_in_a_thread_and_not_on_the_event_loop(database):
    """The loop goes on with everything else meanwhile."""
    from inbound_webhooks.airflow_bridge import check_process
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint
    from tests.infrastructure.loop import on_the_loop

    hook = hook_of({"type": ["string", "null"], "pattern": LOOKING_AHEAD})
    killed_in = []

    class Noted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            killed_in.append(threading.get_ident())

    async def thread_of_the_loop() -> int:
        return threading.get_ident()

    with handler(check_process.log, Noted()):
        assert AsgiEndpoint().post(hook.path, body(EVIL)).status == 422
    assert len(killed_in) == 1
    assert killed_in[0] != on_the_loop(thread_of_the_loop())


def test_more_slow_checks_than_may_wait_are_put_off():
    """Each holds one of the endpoint's threads."""
    from inbound_webhooks.airflow_bridge.check_process import MAX_WAITING, CheckProcess
    from inbound_webhooks.errors import TooBusy

    process, found = CheckProcess(), []

    def ask() -> None:
        try:
            found.append(process.refusal({"pattern": LOOKING_AHEAD}, EVIL))
        except TooBusy:
            found.append(TooBusy)

    threads = [threading.Thread(target=ask) for _ in range(3 * MAX_WAITING)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.close()
    assert found.count(TooBusy) == 2 * MAX_WAITING


# --- size -----------------------------------------------------------------------------------


def test_a_conf_has_so_many_values_and_no_more(database, asgi, configure):
    configure(max_conf_items=1_000)
    hook = hook_of({})
    assert asgi.post(hook.path, body([0] * 999)).status == 202
    reply = asgi.post(hook.path, body([0] * 1_000))
    assert reply.status == 422
    assert "value: with it the conf has more than 1000 values" in reply.body.decode()
    assert [row.state for row in rows("delivery")] == ["accepted", "refused"]


@pytest.mark.parametrize(
    "mapped", ["{{ [body.value, body.value] }}", "{{ {'a': body.value, 'b': body.value} }}"]
)
def test_values_count_as_often_as_an_expression_repeats_them(database, asgi, configure, mapped):
    configure(max_conf_items=1_000)
    store_dag("orders")
    hook = store_webhook(mapping={"value": mapped})
    assert asgi.post(hook.path, body([0] * 400)).status == 202
    assert asgi.post(hook.path, body([0] * 600)).status == 422


def test_two_megabytes_of_values_take_less_than_a_second_of_the_endpoint(database, asgi, configure):
    configure(max_conf_items=2_000_000)
    hook = hook_of({"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}})
    assert asgi.post(hook.path, body([1])).status == 202
    content = body([1] * 1_000_000)
    with at_most(2):
        assert asgi.post(hook.path, content).status == 202


# --- the transaction of a run -----------------------------------------------------------------


def test_what_the_current_version_accepted_is_not_checked_again(database, dispatcher):
    """A conf that its DAG would refuse shows whether it is looked at."""
    hook = hook_of({"type": ["integer", "null"]})
    checked = store_delivery(hook, conf='{"value": "x"}', checked_dag_hash=hash_of("orders"))
    unchecked = store_delivery(hook, conf='{"value": "x"}')
    dispatch_all(dispatcher)
    assert (delivery(checked).state, delivery(unchecked).state) == ("dispatched", "undeliverable")


def test_the_endpoint_says_which_version_has_accepted_a_conf(database, asgi):
    hook = hook_of({"type": ["integer", "null"]})
    assert asgi.post(hook.path, body(1)).status == 202
    assert asgi.post(hook.path, body("x")).status == 422
    assert [row.checked_dag_hash for row in rows("delivery")] == [hash_of("orders"), None]


@pytest.mark.parametrize(("type_", "state"), [("string", "undeliverable"), ("number", "dispatched")])
def test_a_dag_that_changes_in_between_checks_again(database, asgi, dispatcher, type_, state):
    hook = hook_of({"type": ["integer", "null"]})
    assert asgi.post(hook.path, body(7)).status == 202
    hook_version_two(type_)
    dispatch_all(dispatcher)
    (stored,) = rows("delivery")
    assert (stored.state, len(runs())) == (state, int(state == "dispatched"))
    if state == "undeliverable":
        assert (
            stored.error == "The DAG refuses the run: parameter value: expected string or null, not integer"
        )


def hook_version_two(type_: str) -> None:
    store_dag("orders", params={"value": Param(None, type=[type_, "null"])})


def test_no_transaction_is_open_while_a_conf_is_checked(database, dispatcher):
    from airflow import settings

    from inbound_webhooks.airflow_bridge import check_process

    hook = hook_of({"type": ["string", "null"], "pattern": LOOKING_AHEAD})
    stored = store_delivery(hook, conf=json.dumps({"value": EVIL}))
    open_at_the_kill = []
    with open_transactions(settings.engine) as opened:

        class Noted(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                open_at_the_kill.append(len(opened))

        with handler(check_process.log, Noted()), at_most(3):
            dispatch_all(dispatcher)
    assert open_at_the_kill == [0]
    assert delivery(stored).state == "undeliverable"
    assert "takes longer than 100 milliseconds" in delivery(stored).error


def test_checks_of_one_webhook_let_another_one_have_its_turn(database, monkeypatch):
    """With a time for checks that each of them uses up, a round has one check."""
    from inbound_webhooks.dispatch import dispatcher as module
    from inbound_webhooks.settings import Settings

    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    flooded, other = hook_of({}, "flooded"), hook_of({}, "other")
    for hook, count in ((flooded, 5), (other, 1)):
        store_deliveries(hook, count, dag_id=hook.name, conf='{"value": "x"}')
    dispatcher, started = module.Dispatcher(Settings()), []
    while dispatcher.dispatch_due():
        started.append(sorted(run.dag_id for run in runs()))
    assert len(started[0]) == 1
    assert started[1] == ["flooded", "other"]
    assert len(started[-1]) == 6


def test_a_batch_has_so_many_bytes_and_the_next_one_goes_on_with_the_others(database, dispatcher):
    """Otherwise large confs make one long transaction."""
    hook = hook_of({})
    store_deliveries(hook, 3, conf=json.dumps({"value": "x" * 400}), checked_dag_hash=hash_of("orders"))
    store_delivery(hook, conf=json.dumps({"value": "x" * 4_000}), checked_dag_hash=hash_of("orders"))
    counts = []
    while dispatcher.dispatch_due():
        counts.append(len(runs()))
    assert counts == [2, 3, 4]


def test_webhooks_for_which_a_batch_has_no_bytes_come_first_in_the_next_one(database, dispatcher):
    hooks = [hook_of({}, name) for name in ("one", "two", "three")]
    for hook in hooks:
        large = json.dumps({"value": "x" * 1_000})
        store_deliveries(hook, 2, dag_id=hook.name, conf=large, checked_dag_hash=hash_of(hook.name))
    started = []
    while dispatcher.dispatch_due():
        started = [*started, *({run.run_id: run.dag_id for run in runs()}.items() - set(started))]
    assert len(started) == 6
    assert {dag_id for _, dag_id in started[:3]} == {"one", "two", "three"}


def hash_of(dag_id: str) -> str | None:
    from inbound_webhooks.airflow_bridge.dag_cache import dag_states
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        return dag_states(connection, {dag_id})[dag_id].dag_hash


def dispatch_all(dispatcher: Any) -> None:
    while dispatcher.dispatch_due():
        continue


@contextmanager
def handler(logger: logging.Logger, added: logging.Handler) -> Iterator[None]:
    logger.addHandler(added)
    try:
        yield
    finally:
        logger.removeHandler(added)


@contextmanager
def open_transactions(engine: Any) -> Iterator[set[int]]:
    """The connections of an engine that are in a transaction."""
    opened: set[int] = set()
    listeners = {
        "begin": lambda connection: opened.add(id(connection)),
        "commit": lambda connection: opened.discard(id(connection)),
        "rollback": lambda connection: opened.discard(id(connection)),
    }
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield opened
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
