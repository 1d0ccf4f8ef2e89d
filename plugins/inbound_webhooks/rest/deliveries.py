"""Deliveries: list, read, replay."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query

from inbound_webhooks.deliveries.details import delivery_details
from inbound_webhooks.deliveries.replay import replay
from inbound_webhooks.errors import DeliveryNotFound, NotPermitted
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery import Delivery, State
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
from inbound_webhooks.rest.responses import DeliveryCollection, DeliveryDetails, DeliveryResponse
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
        description=f"Look at the next {MAX_COUNTED} deliveries, behind this `next_cursor`.",
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
    """Deliveries of DAGs that the user may read, among the newest (or, upwards, oldest) 10,000."""
    if state and state not in State.ALL:
        raise HTTPException(400, f"state is one of {', '.join(State.ALL)}")
    _, down = descending(order_by, {"id": "id", "received_at": "id"})
    window = DeliveryPages(webhook_id, state, cursor, ascending=not down)
    with transaction() as connection:
        counts, next_cursor = window.counts(connection)
    readable = may.readable(counts)
    with transaction() as connection:
        rows = window.page(connection, readable, offset, min(limit, MAX_LIMIT))
    return DeliveryCollection(
        deliveries=[_shown(row) for row in rows],
        total_entries=sum(counts[dag_id] for dag_id in readable),
        next_cursor=next_cursor,
    )


@router.get("/{delivery_id}", responses=documented(404))
def get_delivery(delivery_id: str, may: AccessDep) -> DeliveryDetails:
    """One delivery in full."""
    delivery = _visible(may, delivery_id)
    story = delivery_details(delivery_id)
    if not may.may_read_runs(delivery.dag_id):
        story |= {"request": None, "conf": None, "mails": None}
        story["run"]["failed_tasks"] = []
    return DeliveryDetails(**story)


@router.post("/{delivery_id}/replay", status_code=201, responses=documented(400, 404, 409))
def replay_delivery(delivery_id: str, may: AccessDep, body: Replay | None = None) -> DeliveryResponse:
    """Accept a stored delivery once more, as a new one."""
    delivery = _visible(may, delivery_id)
    with transaction() as connection:
        webhook = webhook_by_id(connection, delivery.webhook_id)
    allowed = may.may_read_runs(delivery.dag_id) and may.may_replay(
        webhook.dag_id if webhook else delivery.dag_id
    )
    if not allowed:
        raise NotPermitted("A replay needs the rights to read the DAG's runs and to trigger it.")
    remap = body.remap if body else False
    return _shown(replay(get_receiver(), delivery_id, actor=may.name, remap=remap))


def _visible(may: Access, delivery_id: str) -> Delivery:
    delivery = None
    if delivery_id.isascii() and delivery_id.isprintable():  # PostgreSQL takes no NUL
        with transaction() as connection:
            delivery = find_delivery(connection, delivery_id)
    if delivery is None or not may.may_see(delivery.dag_id):
        raise DeliveryNotFound("There is no such delivery, or you may not see its DAG.")
    return delivery


def _shown(row: Any) -> DeliveryResponse:
    return DeliveryResponse(
        webhook=row.webhook_name,
        **{name: getattr(row, name) for name in DeliveryResponse.model_fields if name != "webhook"},
    )
