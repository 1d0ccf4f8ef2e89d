"""A webhook's activity: its deliveries by hour and state, and how long their runs took to start."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.activity import MAX_HOURS, as_data
from inbound_webhooks.rest.dependencies import AccessDep, visible
from inbound_webhooks.rest.problems import documented
from inbound_webhooks.rest.responses import ActivityResponse
from inbound_webhooks.storage.activity import read_activity
from inbound_webhooks.storage.database import transaction

router = APIRouter(prefix="/webhooks", tags=["Webhook"])

Hours = Annotated[int, Query(ge=1, le=MAX_HOURS, description="How many hours, with the current one.")]


@router.get("/{webhook_id}/activity", responses=documented(404))
def get_activity(webhook_id: str, may: AccessDep, hours: Hours = 24) -> ActivityResponse:
    """The last hours of a webhook."""
    webhook = visible(may, webhook_id)
    with transaction() as connection:
        found = read_activity(connection, [webhook.id], utc_now(), hours=hours)
    return ActivityResponse(webhook_id=webhook.id, **as_data(found[webhook.id]))
