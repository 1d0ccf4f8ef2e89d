"""The details of a delivery: request, conf, run, outcome, notifications."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.assets import ConsumingRun, consuming_runs
from inbound_webhooks.deliveries.family import family_of, visible_routes
from inbound_webhooks.deliveries.group_notes import batch_of, progress_of
from inbound_webhooks.deliveries.sent_response import sent_response
from inbound_webhooks.deliveries.stored_request import text_of
from inbound_webhooks.errors import DeliveryNotFound, RequestError
from inbound_webhooks.event.truncation import truncate
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.settings import Settings, airflow_url
from inbound_webhooks.storage import claims
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.mails import Mail, mails_of_delivery
from inbound_webhooks.storage.matched_waits import resumed_by
from inbound_webhooks.storage.outcomes import load_tasks
from inbound_webhooks.storage.waits import find_wait
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.urls import delivery_url, log_url, run_url
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.queue_reason import queue_reason
from inbound_webhooks.webhooks.waits import as_data

MAX_BODY_CHARS = 2_000
"""Longer bodies are truncated."""

MAX_LISTED = 1_000
"""Deliveries of a batch that are listed: as many as one can have."""


def delivery_details(delivery_id: str, access: Access | None = None) -> dict[str, Any]:
    """A delivery with its request, run and notifications as JSON data; credentials are masked.

    :param access: None for an operator with a shell, who may read all runs that took its asset event
    :raises DeliveryNotFound: there is no such delivery
    """
    with transaction() as connection:
        delivery = find_delivery(connection, delivery_id)
        if delivery is None:
            raise DeliveryNotFound(f"There is no delivery {delivery_id!r}.")
        mails = mails_of_delivery(connection, delivery_id)
        waits_for = waiting_reason(connection, delivery)
        response = sent_response(connection, delivery)
        wait = find_wait(connection, delivery.wait_id) if delivery.wait_id else None
        taken = consuming_runs(connection, delivery.asset_event_id) if delivery.asset_event_id else []
        resumed = resumed_by(connection, delivery_id)
        family = family_of(connection, delivery)
        routes = visible_routes(connection, access, delivery.routes)
        batch = batch_of(connection, delivery, limit=MAX_LISTED)
        progress = progress_of(connection, delivery)
    return {
        "id": delivery.id,
        "webhook": delivery.webhook_name,
        "state": delivery.state,
        "error": delivery.error,
        "waits_for": waits_for or progress,
        "page": delivery_url(airflow_url(), delivery.id),
        "replay_of": delivery.replay_of,
        "batch": batch,
        "superseded_by": delivery.superseded_by,
        "cancelled_by": delivery.cancelled_by,
        "request": _request(delivery),
        "response": response.document(),
        "conf": None if delivery.conf is None else json.loads(delivery.conf),
        "run": _run(delivery),
        "asset": delivery.asset,
        "partition_key": delivery.partition_key,
        "asset_event": _event(delivery, [run for run in taken if _may_read(run, access)]),
        "wait": None if wait is None else as_data(wait),
        "resumed": list(map(as_data, resumed)),
        **family,
        "routes": routes,
        "mails": [_mail(mail) for mail in mails],
    }


def waiting_reason(connection: Connection, delivery: Any) -> str | None:
    """The reason why a delivery with an existing DAG has no run yet: the limit on active runs, or on those
    that are queued."""
    if delivery.state != State.ACCEPTED or delivery.wait_id is not None:
        return None
    webhook = webhook_by_id(connection, delivery.webhook_id)
    if webhook is None:
        return None
    limit = webhook.max_active_runs
    if limit is not None and (active := claims.count_active(connection, webhook.id)) >= limit:
        return f"the end of one of the webhook's runs: {active} are active, and its limit is {limit}."
    reason = queue_reason(connection, webhook)
    return None if reason is None else f"room in Airflow's queue: {reason}"


def _request(delivery: Delivery) -> dict[str, Any]:
    return {
        "received_at": _time(delivery.received_at),
        "source_ip": delivery.source_ip,
        "query": delivery.query_string,
        "headers": json.loads(delivery.headers),
        "body_bytes": len(delivery.body) if delivery.body_stored else None,
        "body": _body(delivery),
        "body_omitted": not delivery.body_stored,
        "response_status": delivery.response_status,
    }


def _body(delivery: Delivery) -> str | None:
    """The beginning of the body; None if it is not text or was not stored."""
    if not delivery.body_stored:
        return None
    try:
        text = text_of(delivery, Settings.load().max_body_bytes)
    except RequestError:
        return None
    return None if text is None else truncate(text, MAX_BODY_CHARS)


def _run(delivery: Delivery) -> dict[str, Any]:
    base_url, run_id = airflow_url(), delivery.run_id
    started, ended = delivery.run_started_at, delivery.finished_at
    return {
        "dag_id": delivery.dag_id or None,
        "run_id": run_id,
        "page": run_id and run_url(base_url, delivery.dag_id, run_id),
        "logical_date": _time(delivery.logical_date),
        "run_after": _time(delivery.run_after),
        "note": delivery.note,
        "attempts": delivery.attempts,
        "next_attempt_at": _time(delivery.next_attempt_at),
        "dispatched_at": _time(delivery.dispatched_at),
        "started_at": _time(started),
        "finished_at": _time(ended),
        "duration_seconds": (ended - started).total_seconds() if started and ended else None,
        "failed_tasks": [
            {
                "task_id": task.task_id,
                "map_index": task.map_index,
                "log": log_url(base_url, delivery.dag_id, run_id or "", task),
            }
            for task in load_tasks(delivery.failed_tasks)
        ],
    }


def _event(delivery: Delivery, runs: Sequence[ConsumingRun]) -> dict[str, Any] | None:
    if delivery.asset_event_id is None:
        return None
    return {
        "id": delivery.asset_event_id,
        "runs": [
            {
                "dag_id": run.dag_id,
                "run_id": run.run_id,
                "state": run.state,
                "page": run_url(airflow_url(), run.dag_id, run.run_id),
            }
            for run in runs
        ],
    }


def _may_read(run: ConsumingRun, access: Access | None) -> bool:
    return access is None or access.may_read_runs(run.dag_id)


def _mail(mail: Mail) -> dict[str, Any]:
    return {
        "kind": mail.kind,
        "recipient": mail.recipient,
        "state": mail.state,
        "sent_at": _time(mail.sent_at),
        "next_attempt_at": _time(mail.next_attempt_at),
        "attempts": mail.attempts,
        "error": mail.error,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
