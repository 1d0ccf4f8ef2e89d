"""A request of webhook B is answered while one of webhook A is still at work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.infrastructure.webhooks_builder import Hook, states, store_webhook
from tests.integration.receiver.signed_posts import Sender
from tests.unit.presets.signed_cases import read

CONFIRMATION = next(case for case in read("aws-sns") if case.name.startswith("SubscriptionConfirmation"))


def test_b_is_answered_while_a_request_of_a_is_still_at_work(postgres_cluster, postgres_database):
    a, b = Sender.of(CONFIRMATION), store_webhook("b")
    assert a.endpoint.post(b.path).status == 202
    with ThreadPoolExecutor(1) as thread:
        with locked_row(postgres_cluster, a.hook):
            # A thread of the endpoint keeps the link of the confirmation, and waits for the row of A.
            of_a = thread.submit(a.send)
            postgres_cluster.wait_until_blocked()
            of_b = a.endpoint.post(b.path)
            assert (of_b.status, of_a.done()) == (202, False)
        assert of_a.result().status == 200
    assert states() == ["accepted"] * 2


@contextmanager
def locked_row(cluster, hook: Hook) -> Iterator[None]:
    """Hold the row of a webhook in a transaction of another connection."""
    connection = cluster.connect("airflow")
    try:
        connection.autocommit = False
        query = "SELECT 1 FROM inbound_webhook WHERE id = %s FOR UPDATE"
        connection.cursor().execute(query, (hook.id,))
        yield
    finally:
        connection.close()
