"""A webhook that changes between the check of a request and its commit: two connections, stopped there."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.infrastructure.asgi_endpoint import JSON
from tests.infrastructure.loop import in_use, new_receiver, on_the_loop
from tests.infrastructure.webhooks_builder import (
    ACTOR,
    Hook,
    change_webhook,
    made_delivery,
    rows,
    states,
    store_webhook,
)

ORDER = b'{"number": 1}'


def admitted(hook, receiver=None):
    """A request that has passed the check; what is returned goes on to its commit and its answer."""
    from inbound_webhooks.event.request import InboundRequest
    from inbound_webhooks.monitoring.clock import utc_now
    from inbound_webhooks.receiver.admission import RequestHead
    from inbound_webhooks.receiver.instance import get_receiver

    receiver = in_use(receiver or get_receiver())
    head = RequestHead(
        method="POST", webhook_id=hook.id, token=hook.token, declared_length=None, source_ip="192.0.2.7"
    )
    request = InboundRequest(
        method="POST",
        query_string="",
        headers=(("Content-Type", "application/json"),),
        body=ORDER,
        source_ip="192.0.2.7",
        received_at=utc_now(),
    )
    admission = on_the_loop(receiver.admit(head))
    return lambda: on_the_loop(receiver.receive(admission, request))


def disable(hook) -> None:
    from inbound_webhooks.webhooks import service

    service.set_enabled(hook.id, False, actor=ACTOR)


def delete(hook) -> None:
    from inbound_webhooks.webhooks import service

    service.delete(hook.id, actor=ACTOR)


def rotate(hook) -> None:
    from inbound_webhooks.webhooks import service

    service.rotate(hook.id, actor=ACTOR)


CHANGES: list[tuple[Callable, int]] = [(disable, 403), (delete, 404), (rotate, 404)]
CHANGE_IDS = ["disable", "delete", "rotate"]


@pytest.mark.parametrize(("change", "status"), CHANGES, ids=CHANGE_IDS)
def test_what_was_checked_before_a_change_is_not_accepted_after_it(orders, change, status):
    finish = admitted(orders)
    change(orders)
    assert finish().status == status
    assert rows("delivery") == []


@pytest.mark.parametrize(("change", "status"), CHANGES, ids=CHANGE_IDS)
def test_a_request_that_waits_for_a_change_is_judged_by_what_comes_of_it(
    postgres_cluster, postgres_database, change, status
):
    """The change has the row's lock and has not committed when the request comes to its own lock."""
    hook = stored_hook()
    finish, answered = admitted(hook), []
    holder = hold_row(postgres_cluster)
    changing = threading.Thread(target=change, args=(hook,))
    changing.start()
    postgres_cluster.wait_until_blocked()
    request = threading.Thread(target=lambda: answered.append(finish()))
    request.start()
    postgres_cluster.wait_until_blocked(2)
    holder.rollback()
    for thread in (changing, request):
        thread.join(10)
    after_change = [response.status for response in answered]
    assert after_change == [status] or states() in (["accepted"], ["cancelled"])
    assert admitted_status(hook) == status


@pytest.mark.parametrize("change", [disable, delete, rotate], ids=CHANGE_IDS)
def test_a_change_does_not_return_before_a_request_that_is_about_to_commit(postgres_database, change):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import insert_delivery

    hook = stored_hook()
    changing = threading.Thread(target=change, args=(hook,))
    with transaction() as connection:
        assert insert_delivery(connection, made_delivery(hook, 1), version=1) is not None
        changing.start()
        changing.join(0.2)
        assert changing.is_alive()
    changing.join(10)
    assert not changing.is_alive()


def test_nothing_is_accepted_after_disable_returned_while_many_send(orders, asgi):
    """A sender without a pause: the row counts at the return and at the end are equal."""
    stop, statuses = threading.Event(), []

    def send() -> None:
        while not stop.is_set():
            statuses.append(asgi.post(orders.path, ORDER).status)

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    _wait_until(lambda: statuses.count(202) > 10)
    disable(orders)
    at_return = len(rows("delivery"))
    _wait_until(lambda: statuses.count(403) > 10)
    stop.set()
    for sender in senders:
        sender.join()
    assert len(rows("delivery")) == at_return
    assert set(statuses) == {202, 403}


@pytest.mark.parametrize(("change", "status"), CHANGES, ids=CHANGE_IDS)
@pytest.mark.parametrize(
    ("body", "encoding"),
    [(ORDER, "identity"), (b"{", "identity"), (ORDER, "br")],
    ids=["good", "malformed", "encoded"],
)
def test_what_was_right_a_moment_ago_opens_nothing_after_a_change(
    asgi, sqlite_orders, change, status, body, encoding
):
    assert asgi.post(sqlite_orders.path, ORDER).status == 202
    change(sqlite_orders)
    assert asgi.post(sqlite_orders.path, body, [*JSON, ("content-encoding", encoding)]).status == status
    assert len(rows("delivery")) == 1


@pytest.mark.parametrize("change", [disable, delete, rotate], ids=CHANGE_IDS)
def test_after_a_change_not_a_byte_is_read_of_what_was_right_a_moment_ago(asgi, sqlite_orders, change):
    assert asgi.post(sqlite_orders.path, ORDER).status == 202
    change(sqlite_orders)
    reply = asgi.request("POST", sqlite_orders.path, headers=JSON, chunks=[b"{", b"}"])
    assert reply.chunks_read <= asgi.taken_with_the_head


@pytest.mark.parametrize(("change", "status"), CHANGES, ids=CHANGE_IDS)
def test_a_body_that_is_too_large_shows_nothing_of_what_was_right_a_moment_ago(
    asgi, sqlite_orders, configure, change, status
):
    configure(max_body_bytes=100)
    assert asgi.post(sqlite_orders.path, ORDER).status == 202
    change(sqlite_orders)
    assert asgi.request("POST", sqlite_orders.path, headers=JSON, chunks=[b"x" * 101]).status == status


def test_a_request_is_judged_by_the_new_mapping_if_it_changed_in_between(orders):
    finish = admitted(orders)
    change_webhook(orders.id, mapping={"number": "42"})
    assert finish().status == 202
    assert [row.conf for row in rows("delivery")] == ['{"number":42}']


def test_a_webhook_that_changes_without_end_puts_a_request_off(sqlite_orders):
    """The clock is read at each check, after the webhook was."""
    from inbound_webhooks.monitoring.clock import utc_now

    def clock_that_changes_the_webhook():
        change_webhook(sqlite_orders.id)
        return utc_now()

    finish = admitted(sqlite_orders, new_receiver(now=clock_that_changes_the_webhook))
    response = finish()
    assert (response.status, rows("delivery")) == (503, [])
    assert dict(response.headers) == {"Retry-After": "2"}


@pytest.mark.parametrize(("change", "status"), CHANGES, ids=CHANGE_IDS)
def test_a_request_that_lost_the_race_is_noted_at_most_once(sqlite_orders, change, status):
    from inbound_webhooks.receiver.instance import get_receiver

    finish = admitted(sqlite_orders)
    change(sqlite_orders)
    finish()
    get_receiver().rejections.flush()
    assert [row.status for row in rows("rejection")] in ([], [status])


def stored_hook():
    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.webhooks_builder import store_webhook

    store_dag("orders")
    return store_webhook(mapping={"number": "${Webhook::Body.number}"})


def admitted_status(hook) -> int:
    from inbound_webhooks.errors import RequestError
    from inbound_webhooks.event.responses import status_of

    try:
        return admitted(hook)().status
    except RequestError as error:
        return status_of(error)


def hold_row(cluster):
    holder = cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM inbound_webhook FOR UPDATE")
    return holder


def _wait_until(happened: Callable[[], bool]) -> None:
    import time

    give_up_at = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.01)


# --- a route of the webhook changes ---------------------------------------------------------


def routed() -> tuple[Hook, Hook]:
    """A webhook whose events another one gets, and that one."""
    source = store_webhook("source", dag_id="", routes="all")
    route = store_webhook_of(source.id)
    return source, Hook(route, "", "route")


def store_webhook_of(source: str) -> str:
    from inbound_webhooks.webhooks import service

    draft = service.drafted(preset=None, name="route", dag_id="orders", source=source, mapping={})
    return service.create(draft, actor=ACTOR).id


def refuse_all(hook) -> None:
    change_webhook(hook.id, filter="body.number > 100")


@pytest.mark.parametrize("change", [disable, delete, refuse_all], ids=["disable", "delete", "filter"])
def test_a_route_that_changes_in_between_gets_no_event(database, change):
    source, route = routed()
    finish = admitted(source)
    change(route)
    assert finish().status == 200
    assert states() == ["filtered"]


@pytest.mark.parametrize("change", [disable, delete], ids=["disable", "delete"])
def test_a_change_of_a_route_does_not_return_before_an_event_that_is_about_to_commit(
    postgres_database, change
):
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import insert_delivery
    from inbound_webhooks.webhooks import service

    source, route = routed()
    version = service.get(source.id).version
    parent = made_delivery(source, 1, state="split")
    child = made_delivery(route, 2, parent_id=parent.id, child_index=0)
    changing = threading.Thread(target=change, args=(route,))
    with transaction() as connection:
        assert insert_delivery(connection, parent, version, [child]) is not None
        changing.start()
        changing.join(0.2)
        assert changing.is_alive()
    changing.join(10)
    assert not changing.is_alive()
