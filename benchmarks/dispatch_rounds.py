"""The rounds of row 2, in a process of their own whose environment leads Airflow to the database.

Prints one line of JSON: runs a second of each round, by side.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from uuid import uuid4

from benchmarks.payload import DAG_ID, conf, event

if TYPE_CHECKING:
    from inbound_webhooks.dispatch.dispatcher import Dispatcher

WARM_UP = 100
"""Runs of each side before the first round."""


def main(rounds: int, number: int) -> None:
    """Take the two in turn, so many rounds of so many runs."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    logging.disable(logging.INFO)
    dispatcher = Dispatcher(Settings.load())
    _triggered(WARM_UP)
    _dispatched(dispatcher, WARM_UP)
    rates: dict[str, list[float]] = {"trigger_dag": [], "dispatcher": []}
    for _ in range(rounds):
        rates["trigger_dag"].append(number / _triggered(number))
        rates["dispatcher"].append(number / _dispatched(dispatcher, number))
    print(json.dumps(rates))


def _dispatched(dispatcher: Dispatcher, number: int) -> float:
    """Put a backlog into the table, and the seconds until it is gone."""
    fill(number)
    started = time.perf_counter()
    done = 0
    while handled := dispatcher.dispatch_due():
        done += handled
    seconds = time.perf_counter() - started
    assert done == number, (done, number)
    return seconds


def _triggered(number: int) -> float:
    """The seconds of so many calls of Airflow's function, each with a commit of its own."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.utils.types import DagRunTriggeredByType

    triggered_by = DagRunTriggeredByType.REST_API
    started = time.perf_counter()
    for _ in range(number):
        trigger_dag(DAG_ID, triggered_by=triggered_by, run_id=f"bare__{uuid4().hex}", conf=conf())
    return time.perf_counter() - started


def fill(number: int, webhook: str = "bench") -> None:
    """Accept so many events as the door does, with one commit for all of them."""
    from inbound_webhooks.airflow_bridge.dag_cache import DagCache
    from inbound_webhooks.deliveries.stored_request import new_delivery
    from inbound_webhooks.event.judge import decide
    from inbound_webhooks.event.request import InboundRequest
    from inbound_webhooks.records.delivery import new_delivery_id
    from inbound_webhooks.storage.database import in_transaction, transaction
    from inbound_webhooks.storage.deliveries import insert_delivery
    from inbound_webhooks.webhooks import service
    from inbound_webhooks.webhooks.compiled import compile_webhook

    compiled = compile_webhook(service.get(webhook))
    dag = DagCache(recheck_seconds=60).get(compiled.webhook.dag_id, in_transaction)
    assert (dag is None) == (not compiled.webhook.dag_id)
    params = None if dag is None else dag.params
    with transaction() as connection:
        for _ in range(number):
            request = InboundRequest(
                method="POST",
                query_string="",
                headers=(("Content-Type", "application/json"),),
                body=event(),
                source_ip="127.0.0.1",
                received_at=datetime.now(timezone.utc),
            )
            verdict = decide(
                compiled.rules, request, request.body, params, delivery_id=new_delivery_id(), secrets={}
            )
            insert_delivery(connection, new_delivery(compiled, request, verdict), compiled.webhook.version)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
