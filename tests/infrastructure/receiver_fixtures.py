"""The process's one receiver, made afresh for each test: fixtures that conftest modules import."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.infrastructure.database_proxy import DatabaseProxy


@pytest.fixture(autouse=True)
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that starts the receiver afresh with these settings: configure(max_body_bytes=10)."""
    from inbound_webhooks.receiver.instance import forget_receiver

    def start_afresh(**settings: object) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__INBOUND_WEBHOOKS__{name.upper()}", str(value))
        forget_receiver()

    start_afresh()
    yield start_afresh
    forget_receiver()


@pytest.fixture(params=["blueprint", "gateway"])
def asgi(request: pytest.FixtureRequest):
    """The contract's endpoints, one after the other: that of the api-server, and the gateway."""
    from tests.infrastructure.asgi_endpoint import AsgiEndpoint
    from tests.infrastructure.gateway_endpoint import GatewayEndpoint

    return AsgiEndpoint() if request.param == "blueprint" else GatewayEndpoint()


@pytest.fixture
def proxy(postgres_cluster, postgres_database):
    """Between this process's Airflow and its database."""
    from tests.infrastructure.databases import connect_airflow

    made = DatabaseProxy(postgres_cluster.port)
    made.start()
    connect_airflow(made.url(postgres_database.url))
    yield made
    made.stop()


@pytest.fixture
def orders(database):
    """A webhook for the DAG `orders`, which takes an integer `number`, on both databases."""
    return _orders()


@pytest.fixture
def sqlite_orders(sqlite_database):
    """The same where the database does not matter."""
    return _orders()


def _orders():
    from airflow.sdk import Param

    from tests.infrastructure.dags_builder import store_dag
    from tests.infrastructure.webhooks_builder import store_webhook

    store_dag("orders", params={"number": Param(7, type="integer")})
    return store_webhook(mapping={"number": "${Webhook::Body.number}"})
