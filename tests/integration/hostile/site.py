"""An open endpoint with two webhooks behind it, and what came through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.raw_http import Reply, converse
from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.hostile.case import Case, Target
from tests.integration.hostile.endpoints import ENDPOINTS, Endpoint

BODY_TIMEOUT_SECONDS = 1
MAPPING = {"value": "Body", "field": "Body.field", "query": "Query", "headers": "Headers"}


@dataclass
class Site:
    """An open endpoint; the deliveries in the database are its own."""

    endpoint: Endpoint
    target: Target
    seen: str = ""

    def send(self, case: Case) -> list[Reply]:
        return converse(self.endpoint.port, *case.parts, responses=len(case.statuses))

    def stored(self) -> list[Any]:
        """The deliveries that came since this was asked last."""
        from airflow import settings

        from inbound_webhooks.storage.tables import delivery

        query = delivery.select().where(delivery.c.id > self.seen).order_by(delivery.c.id)
        with settings.engine.connect() as connection:
            new = list(connection.execute(query))
        self.seen = new[-1].id if new else self.seen
        return new

    def dispatch(self) -> None:
        """Make the runs of all that was accepted, as the dispatcher does."""
        from inbound_webhooks.dispatch.dispatcher import Dispatcher
        from inbound_webhooks.settings import Settings

        dispatcher = Dispatcher(Settings.load())
        while dispatcher.dispatch_due():
            continue


@contextmanager
def opened(endpoint_name: str) -> Iterator[Site]:
    """Open an endpoint in front of the database that this process is connected to."""
    from inbound_webhooks.receiver.instance import forget_receiver

    store_dag("orders")
    events = store_webhook("events")
    orders = store_webhook("orders", mapping={name: f"${{Webhook::{it}}}" for name, it in MAPPING.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__INBOUND_WEBHOOKS__BODY_TIMEOUT_SECONDS", str(BODY_TIMEOUT_SECONDS))
        forget_receiver()
        endpoint = ENDPOINTS[endpoint_name]()
        try:
            yield Site(endpoint, Target(endpoint.base, events, orders))
        finally:
            endpoint.close()
            forget_receiver()
