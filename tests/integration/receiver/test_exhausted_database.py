"""A database that has no connection, no room or no lock to give: 503 soon, and 202 when it has, by itself."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psycopg2
import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.endpoint_process import EndpointProcess
from tests.infrastructure.gateway_process import GatewayProcess
from tests.infrastructure.webhooks_builder import rows, runs, states, store_deliveries, store_webhook
from tests.promises.test_database_away import locked

ORDER = b'{"number": 1}'
LARGE_ORDER = b'{"number": 1, "text": "%s"}' % (b"a" * 500_000)
SOON_SECONDS = 10
MAPPING = {"number": "${Webhook::Body.number}"}


@pytest.fixture
def hook(postgres_database):
    store_dag("orders")
    return store_webhook(mapping=MAPPING)


def is_put_off(reply) -> bool:
    return (reply.status, reply.header("retry-after")) == (503, "10")


def test_the_endpoint_stays_open_while_airflow_has_taken_all_connections_of_its_pool(asgi, hook):
    from airflow import settings

    started = time.monotonic()
    with ExitStack() as taken:
        for _ in range(15):  # Airflow's pool_size and max_overflow
            taken.enter_context(settings.engine.connect())
        assert [asgi.post(hook.path, ORDER).status for _ in range(2)] == [202, 202]
    assert time.monotonic() - started < SOON_SECONDS


def test_a_request_that_gets_no_connection_of_ours_is_put_off_soon_and_later_taken(asgi, hook):
    started = time.monotonic()
    assert is_put_off(while_holding(15, lambda: asgi.post(hook.path, ORDER)))
    assert time.monotonic() - started < SOON_SECONDS
    assert asgi.post(hook.path, ORDER).status == 202
    assert states() == ["accepted"]


def while_holding(connections: int, work):
    from inbound_webhooks.storage.database import autocommit

    return autocommit(lambda _: while_holding(connections - 1, work)) if connections else work()


@contextmanager
def no_connection_left(cluster) -> Iterator[None]:
    """Somebody else holds every connection that the server gives."""
    with ExitStack() as held:
        with pytest.raises(psycopg2.OperationalError, match="too many clients"):  # noqa: PT012
            while True:
                held.callback(cluster.connect().close)
        yield


def test_a_server_without_a_connection_left_puts_off_and_later_takes(
    asgi, postgres_cluster, postgres_database, hook
):
    from tests.infrastructure.databases import connect_airflow

    connect_airflow(postgres_database.url)  # without the connections of this test so far
    with no_connection_left(postgres_cluster):
        reply = asgi.post(hook.path, ORDER)
    assert is_put_off(reply)
    assert reply.json["error"] == "The database cannot be reached."
    assert asgi.post(hook.path, ORDER).status == 202
    assert states() == ["accepted"]


def test_a_webhook_whose_row_is_locked_for_long_puts_off_and_later_takes(asgi, postgres_cluster, hook):
    holder = postgres_cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM inbound_webhook FOR UPDATE")
    started = time.monotonic()
    assert is_put_off(asgi.post(hook.path, ORDER))
    assert time.monotonic() - started < SOON_SECONDS
    holder.close()
    assert asgi.post(hook.path, ORDER).status == 202
    assert states() == ["accepted"]


def test_a_note_of_the_last_use_never_waits(asgi, postgres_cluster, hook):
    from inbound_webhooks.storage.database import LOCK_TIMEOUT_SECONDS

    holder = postgres_cluster.connect("airflow")
    holder.autocommit = False
    holder.cursor().execute("SELECT 1 FROM inbound_webhook_token FOR UPDATE")
    started = time.monotonic()
    assert asgi.post(hook.path, ORDER).status == 202
    assert time.monotonic() - started < LOCK_TIMEOUT_SECONDS
    holder.close()


@contextmanager
def full_file() -> Iterator[None]:
    """SQLite's file may not grow: what its library says then is that the disk is full."""
    from airflow import settings
    from sqlalchemy import event

    pages = {"most": 1}  # none but those that there are

    def limit(connection, _record, _proxy) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages['most']}")

    event.listen(settings.engine, "checkout", limit)
    try:
        yield
    finally:
        pages["most"] = 2**30


def test_a_full_disk_puts_off_and_later_takes(asgi, sqlite_orders, caplog):
    with full_file():
        assert is_put_off(asgi.post(sqlite_orders.path, LARGE_ORDER))
    assert "SQLITE_FULL" in caplog.text
    assert asgi.post(sqlite_orders.path, LARGE_ORDER).status == 202
    assert states() == ["accepted"]


def make_dispatcher():
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    return Dispatcher(Settings.load())


def test_a_dispatcher_on_a_full_disk_makes_no_run_and_later_each_one_once(sqlite_orders):
    from inbound_webhooks.errors import DatabaseUnavailable

    ids = store_deliveries(sqlite_orders, 3, conf='{"number": 1, "text": "%s"}' % ("a" * 500_000))
    dispatcher = make_dispatcher()
    with full_file(), pytest.raises(DatabaseUnavailable):
        dispatcher.dispatch_due()
    assert (states(), runs()) == (["accepted"] * 3, [])
    assert dispatcher.dispatch_due() == 3
    assert [run.run_id for run in runs()] == [f"webhook__{id_}" for id_ in ids]


def test_a_dispatcher_without_a_connection_left_makes_no_run_and_later_each_one_once(
    postgres_cluster, postgres_database, hook
):
    from inbound_webhooks.errors import DatabaseUnavailable
    from tests.infrastructure.databases import connect_airflow

    ids = store_deliveries(hook, 3, conf='{"number": 1}')
    dispatcher = make_dispatcher()
    connect_airflow(postgres_database.url)  # without the connections of this test so far
    with no_connection_left(postgres_cluster), pytest.raises(DatabaseUnavailable):
        dispatcher.dispatch_due()
    assert dispatcher.dispatch_due() == 3
    assert [run.run_id for run in runs()] == [f"webhook__{id_}" for id_ in ids]


def test_a_dispatcher_whose_database_is_locked_makes_no_run_and_later_each_one_once(
    sqlite_database, sqlite_orders
):
    from inbound_webhooks.errors import DatabaseUnavailable

    ids = store_deliveries(sqlite_orders, 3, conf='{"number": 1}')
    dispatcher = make_dispatcher()
    with locked(sqlite_database), pytest.raises(DatabaseUnavailable):
        dispatcher.dispatch_due()
    assert (states(), runs()) == (["accepted"] * 3, [])
    assert dispatcher.dispatch_due() == 3
    assert [run.run_id for run in runs()] == [f"webhook__{id_}" for id_ in ids]


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(EndpointProcess, marks=pytest.mark.long, id="blueprint"),
        pytest.param(GatewayProcess, id="gateway"),
    ],
)
def test_a_process_that_may_write_no_more_puts_off_and_later_takes_without_a_restart(
    sqlite_database, sqlite_orders, tmp_path, kind
):
    """The system itself refuses to let the file grow, as it does on a full disk or past a quota."""
    endpoint = kind(tmp_path, sqlite_database.url)
    try:
        endpoint.wait()
        path = Path(sqlite_database.url.removeprefix("sqlite:///"))
        most = max(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))
        resource.prlimit(endpoint.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        assert post(endpoint, sqlite_orders) == (503, "10")
        assert rows("delivery") == []
        resource.prlimit(
            endpoint.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        assert post(endpoint, sqlite_orders) == (202, None)
        assert states() == ["accepted"]
    finally:
        endpoint.stop()


def post(endpoint: EndpointProcess | GatewayProcess, hook) -> tuple[int, str | None]:
    """The status and Retry-After of a large order, larger than what may still be written."""
    connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    body = LARGE_ORDER.replace(b"a" * 500_000, b"a" * 2_000_000)
    path = hook.path if isinstance(endpoint, EndpointProcess) else hook.path.removeprefix("/pluginsv2")
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, response.headers["Retry-After"]
