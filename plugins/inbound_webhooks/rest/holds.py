"""Holds: put webhooks on hold and release them, one or all."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.rest.dependencies import AccessDep, changeable, visible
from inbound_webhooks.rest.problems import documented
from inbound_webhooks.rest.requests import Release
from inbound_webhooks.rest.responses import WebhookResponse
from inbound_webhooks.rest.webhooks import response_of
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.holds import hold_of_all
from inbound_webhooks.storage.webhooks import ById
from inbound_webhooks.webhooks import hold
from inbound_webhooks.webhooks.access import Access

router = APIRouter(tags=["Hold"])


class HoldOfAllResponse(BaseModel):
    """Whether all webhooks are on hold, those included that are created later."""

    is_on: bool
    held_at: datetime | None
    actor: str | None


class HoldOfAllReport(BaseModel):
    """What a hold or a release of all webhooks did."""

    changed: int
    not_permitted: list[str] = Field(description="Webhooks that the user may see, and may not change.")
    hides_others: bool = Field(description="Whether more were not changed, which the user may not see.")
    own: list[str] = Field(description="Webhooks that stay on hold: they were put on hold by themselves.")
    covers_new: bool = Field(description="Whether webhooks that are created from now on are on hold.")


@router.post("/webhooks/{webhook_id}/hold", responses=documented(404, 409))
def hold_webhook(webhook_id: str, may: AccessDep) -> WebhookResponse:
    """Put a webhook on hold: it accepts and stores requests, and starts nothing."""
    webhook = changeable(may, webhook_id)
    hold.hold(ById(webhook.id), actor=may.name, checked=webhook)
    return response_of(may, visible(may, webhook_id))


@router.post("/webhooks/{webhook_id}/release", responses=documented(400, 404, 409))
def release_webhook(webhook_id: str, may: AccessDep, body: Release | None = None) -> WebhookResponse:
    """End the hold of a webhook: held deliveries go on in their order, and new ones after them."""
    webhook = changeable(may, webhook_id)
    hold.release(ById(webhook.id), actor=may.name, pace=_pace(body), checked=webhook)
    return response_of(may, visible(may, webhook_id))


@router.get("/holdOfAll")
def get_hold_of_all(_may: AccessDep) -> HoldOfAllResponse:
    """Whether all webhooks are on hold."""
    with transaction() as connection:
        found = hold_of_all(connection)
    if found is None:
        return HoldOfAllResponse(is_on=False, held_at=None, actor=None)
    return HoldOfAllResponse(is_on=True, held_at=found.held_at, actor=found.actor)


@router.post("/holdOfAll")
def hold_all(may: AccessDep) -> HoldOfAllReport:
    """Put all webhooks on hold that the user may change; if these are all, new ones are on hold too."""
    _check(may)
    return HoldOfAllReport(**vars(hold.hold_all(actor=may.name, access=may)))


@router.post("/holdOfAll/release", responses=documented(400))
def release_all(may: AccessDep, body: Release | None = None) -> HoldOfAllReport:
    """End the hold of all webhooks; those that were put on hold by themselves stay on hold."""
    _check(may)
    return HoldOfAllReport(**vars(hold.release_all(actor=may.name, pace=_pace(body), access=may)))


def _pace(body: Release | None) -> hold.Pace:
    return hold.AT_FULL_PACE if body is None else hold.Pace(per_minute=body.per_minute, window=body.window)


def _check(may: Access) -> None:
    if not may.may_hold_all:
        raise NotPermitted("A hold of all webhooks requires the permission to edit webhooks.")
