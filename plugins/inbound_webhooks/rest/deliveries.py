"""Deliveries: list, read, replay."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from inbound_webhooks.deliveries.details import delivery_details
from inbound_webhooks.deliveries.replay import replay
from inbound_webhooks.deliveries.retry_now import retry_now
from inbound_webhooks.errors import DeliveryNotFound, NotPermitted
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.records.target import origin
from inbound_webhooks.rest.dependencies import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    AccessDep,
    Limit,
    Offset,
    Text,
    descending,
)
from inbound_webhooks.rest.problems import documented
from inbound_webhooks.rest.requests import Replay
from inbound_webhooks.rest.responses import (
    DeliveryCollection,
    DeliveryDetails,
    DeliveryResponse,
    RetryResponse,
)
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.delivery_pages import MAX_COUNTED, DeliveryPages
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.webhooks.access import Access

router = APIRouter(prefix="/deliveries", tags=["Delivery"])

Cursor = Annotated[
    str,
    Query(
        max_length=32,
        pattern=r"^[0-9a-f]*$",
        description=f"Continue with the {MAX_COUNTED} deliveries after this `next_cursor`.",
    ),
]


@router.get("", responses=documented(400))
def get_deliveries(
    may: AccessDep,
    webhook_id: Text = "",
    state: Text = "",
    cursor: Cursor = "",
    order_by: str = "-received_at",
    offset: Offset = 0,
    limit: Limit = DEFAULT_LIMIT,
) -> DeliveryCollection:
    """Deliveries of DAGs that the user may read, out of the newest 10,000 (oldest, if ascending)."""
    if state and state not in State.ALL:
        raise HTTPException(400, f"state must be one of {', '.join(State.ALL)}")
    _, down = descending(order_by, {"id": "id", "received_at": "id"})
    window = DeliveryPages(webhook_id, state, cursor, ascending=not down)
    with transaction() as connection:
        counts, next_cursor = window.counts(connection)
    visible = may.visible(counts)
    with transaction() as connection:
        rows = window.page(connection, visible, offset, min(limit, MAX_LIMIT))
    return DeliveryCollection(
        deliveries=[response_of(row) for row in rows if may.may_see(row)],
        total_entries=sum(counts[each] for each in visible),
        next_cursor=next_cursor,
    )


@router.get("/{delivery_id}", responses=documented(404))
def get_delivery(delivery_id: str, may: AccessDep) -> DeliveryDetails:
    """The details of one delivery."""
    delivery = _visible(may, delivery_id)
    details = delivery_details(delivery_id, may)
    details["resumed"] = [each for each in details["resumed"] if may.may_see(each["dag_id"])]
    details["children"] = [
        child for child in details["children"] if may.may_see(origin(child["dag_id"], child["webhook_id"]))
    ]
    if not may.may_read_runs(delivery):
        details["routes"] = []
        details |= {"request": None, "response": None, "conf": None, "mails": None}
        details["run"]["failed_tasks"] = []
    return DeliveryDetails(**details)


@router.post("/{delivery_id}/replay", status_code=201, responses=documented(400, 404, 409))
def replay_delivery(delivery_id: str, may: AccessDep, body: Replay | None = None) -> DeliveryResponse:
    """Accept a stored delivery again, as a new delivery."""
    delivery = _visible(may, delivery_id)
    with transaction() as connection:
        webhook = webhook_by_id(connection, delivery.webhook_id)
    if not (may.may_read_runs(delivery) and may.may_replay(webhook or delivery)):
        raise NotPermitted("A replay requires permission to read the DAG's runs and to trigger it.")
    remap = body.remap if body else False
    again = replay(get_receiver(), delivery_id, actor=may.name, remap=remap, checked=webhook)
    return response_of(again)


@router.post("/{delivery_id}/retry", responses=documented(404, 409))
def retry_delivery(delivery_id: str, may: AccessDep) -> RetryResponse:
    """Try a delivery and its mails again now that wait after a failed attempt."""
    delivery = _visible(may, delivery_id)
    with transaction() as connection:
        webhook = webhook_by_id(connection, delivery.webhook_id)
    if not (may.may_read_runs(delivery) and may.may_replay(webhook or delivery)):
        raise NotPermitted("A retry requires the permission for a replay of the delivery.")
    return RetryResponse(**vars(retry_now(delivery_id, actor=may.name)))


def _visible(may: Access, delivery_id: str) -> Delivery:
    delivery = None
    if delivery_id.isascii() and delivery_id.isprintable():  # PostgreSQL rejects NUL
        with transaction() as connection:
            delivery = find_delivery(connection, delivery_id)
    if delivery is None or not may.may_see(delivery):
        raise DeliveryNotFound("The delivery does not exist, or you may not see its DAG.")
    return delivery


_RENAMED = ("webhook", "dag_id")


def response_of(row: Any) -> DeliveryResponse:
    """Convert a delivery."""
    return DeliveryResponse(
        webhook=row.webhook_name,
        dag_id=row.dag_id or None,
        **{name: getattr(row, name) for name in DeliveryResponse.model_fields if name not in _RENAMED},
    )
