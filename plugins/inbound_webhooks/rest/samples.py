"""The sample request of a webhook."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from inbound_webhooks.deliveries import samples
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.rest.dependencies import AccessDep, visible
from inbound_webhooks.rest.problems import documented
from inbound_webhooks.rest.webhooks import url_of

router = APIRouter(prefix="/webhooks", tags=["Webhook"])


class SampleResponse(BaseModel):
    """A request that the webhook accepts, without its signature."""

    method: str
    query: str
    headers: list[list[str]]
    body: str
    curl: str = Field(
        description="Commands for a shell that send it, signed by openssl with the secret in the variable "
        "WEBHOOK_SECRET; with a placeholder for the URL if the user may not change the webhook."
    )


@router.get("/{webhook_id}/sample", responses=documented(404, 429))
def get_sample(webhook_id: str, may: AccessDep) -> SampleResponse:
    """A request that the webhook accepts: from its sender's event, its expressions and its DAG's params."""
    webhook = visible(may, webhook_id)
    receiver = get_receiver()
    with receiver.previews.held_by(may.name):
        sample = samples.sample_of(webhook, receiver.judging.dags)
        url = url_of(webhook) if may.may_change(webhook) else None
        commands = samples.curl(webhook, sample, url or "")
    return SampleResponse(**samples.as_data(sample), curl=commands)
