"""A connection to PostgreSQL is lost at any moment: what was answered 2xx runs once, nothing runs twice."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import change_webhook, rows, runs, states, store_webhook

ORDER = b'{"number": 1}'
INSERT = b"INSERT INTO inbound_webhook_delivery"
COMMIT = b"COMMIT"
RUN = b"INSERT INTO dag_run "


@pytest.fixture
def hook(proxy):
    """A webhook that knows an event again by its number."""
    store_dag("orders")
    return store_webhook(mapping={"number": "${Webhook::Body.number}"}, dedup="${Webhook::Body.number}")


@pytest.fixture
def dispatch(proxy, postgres_cluster):
    """A function that makes the runs of all that is accepted, as a dispatcher does that outlives its faults.

    The server may hold the locks of a lost connection for a moment, so nothing seems to be due meanwhile.
    """
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.errors import DatabaseUnavailable
    from inbound_webhooks.settings import Settings

    dispatcher = Dispatcher(Settings.load())

    def until_nothing_is_accepted() -> None:
        give_up_at = time.monotonic() + 10
        waiting = True
        while waiting:
            assert time.monotonic() < give_up_at
            with contextlib.suppress(DatabaseUnavailable):
                if not dispatcher.dispatch_due():
                    waiting = accepted()

    def accepted() -> bool:
        """Read past the proxy, which counts the messages of the endpoint and the dispatcher."""
        with contextlib.closing(postgres_cluster.connect("airflow")) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT EXISTS (SELECT 1 FROM inbound_webhook_delivery WHERE state = 'accepted')")
            return bool(cursor.fetchone()[0])

    return until_nothing_is_accepted


def post(asgi, hook):
    return asgi.post(hook.path, ORDER)


@pytest.mark.parametrize("heard", [False, True], ids=["before it", "after it"])
def test_a_connection_that_is_lost_in_the_commit_costs_the_sender_nothing(asgi, proxy, hook, dispatch, heard):
    proxy.lose_at(INSERT, heard=heard)
    reply = post(asgi, hook)
    assert not proxy.is_armed
    assert (reply.status, reply.json["delivery_id"]) == (202, rows("delivery")[0].id)
    dispatch()
    assert [run.run_id for run in runs()] == [f"webhook__{rows('delivery')[0].id}"]


def test_a_commit_of_which_nothing_is_known_is_one_delivery_when_the_sender_repeats_it(
    asgi, proxy, hook, dispatch
):
    # The values come after the statement, in a message of their own where that is prepared anew.
    proxy.lose_at(ORDER, heard=True, then=proxy.stop)
    first = post(asgi, hook)
    assert (first.status, first.header("retry-after")) == (503, "10")
    proxy.start()
    second = post(asgi, hook)
    assert (second.status, second.json["status"]) == (202, "duplicate")
    dispatch()
    assert [run.run_id for run in runs()] == [f"webhook__{second.json['delivery_id']}"]


def test_a_commit_that_did_not_happen_is_made_up_for_when_the_sender_repeats_it(asgi, proxy, hook, dispatch):
    proxy.lose_at(INSERT, heard=False, then=proxy.stop)
    assert post(asgi, hook).status == 503
    proxy.start()
    assert post(asgi, hook).json["status"] == "accepted"
    dispatch()
    assert len(runs()) == 1


def test_a_webhook_that_changes_before_its_commit_is_known_makes_no_second_delivery(asgi, proxy, dispatch):
    """Without a deduplication key: the only thing that is known again is the delivery itself."""
    store_dag("orders")
    hook = store_webhook(mapping={"number": "${Webhook::Body.number}"})
    proxy.lose_at(INSERT, heard=True, then=lambda: change_webhook(hook.id, max_per_second=100))
    reply = post(asgi, hook)
    assert (reply.status, [row.id for row in rows("delivery")]) == (202, [reply.json["delivery_id"]])
    dispatch()
    assert len(runs()) == 1


@pytest.mark.parametrize("heard", [False, True], ids=["before it", "after it"])
@pytest.mark.parametrize("text", [RUN, COMMIT], ids=["run", "commit"])
def test_a_dispatcher_that_loses_its_connection_makes_each_run_once(asgi, proxy, hook, dispatch, text, heard):
    ids = [asgi.post(hook.path, b'{"number": %d}' % n).json["delivery_id"] for n in range(3)]
    proxy.lose_at(text, heard=heard)
    dispatch()
    assert not proxy.is_armed
    assert [run.run_id for run in runs()] == [f"webhook__{id_}" for id_ in sorted(ids)]
    assert states() == ["dispatched"] * 3


def test_without_connections_a_request_is_put_off_and_later_taken_without_a_restart(asgi, proxy, hook):
    assert post(asgi, hook).status == 202
    proxy.stop()
    for _ in range(3):
        reply = asgi.post(hook.path, b'{"number": 2}')
        assert (reply.status, reply.header("retry-after")) == (503, "10")
    proxy.start()
    assert asgi.post(hook.path, b'{"number": 2}').status == 202


def test_connections_that_died_meanwhile_cost_no_sender_anything(asgi, proxy, hook):
    """As all have after the server was restarted; the DAG's params are asked for as well by then."""
    from inbound_webhooks.receiver.pipeline import DAG_RECHECK_SECONDS

    assert post(asgi, hook).status == 202
    time.sleep(DAG_RECHECK_SECONDS)
    proxy.stop()
    proxy.start()
    assert [asgi.post(hook.path, b'{"number": %d}' % n).status for n in (2, 3)] == [202, 202]


def test_wherever_a_connection_is_lost_what_was_answered_2xx_runs_once(asgi, proxy, hook, dispatch):
    """Every message to the server in turn, lost before it and after it; the sender repeats until a 2xx."""
    proxy.messages = 0
    post(asgi, hook)
    dispatch()
    said = proxy.messages
    assert said > 10
    accepted = {rows("delivery")[0].id}
    for number in range(1, said + 1):
        for heard in (False, True):
            proxy.lose_at_message(number, heard=heard)
            body = b'{"number": %d%d}' % (number, heard)
            replies = [asgi.post(hook.path, body) for _ in range(3)]
            dispatch()
            assert {reply.status for reply in replies} <= {202, 503}
            accepted |= {reply.json["delivery_id"] for reply in replies if reply.status == 202}
    proxy.lose_when(None, heard=False)  # a later message than any that was said
    dispatch()
    assert len(accepted) == 2 * said + 1
    assert sorted(run.run_id for run in runs()) == sorted(f"webhook__{id_}" for id_ in accepted)
    assert set(states()) == {"dispatched"}
