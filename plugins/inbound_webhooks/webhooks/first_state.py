"""The states of a delivery that is accepted: when it is stored, and when its hold has ended."""

from __future__ import annotations

from inbound_webhooks.event.grouping import grouped_state
from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.target import serves_waits_only
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.holds import HeldDelivery


def first_state(webhook: Webhook) -> str:
    """The state in which an accepted delivery is stored: it may be held, or wait for others of its group."""
    return State.HELD if webhook.holds_new else state_without_hold(webhook)


def state_after_hold(webhook: Webhook, delivery: HeldDelivery) -> str:
    """The state that a held delivery goes on in: the one that it would have had without the hold."""
    if delivery.group_key is None:
        return State.ACCEPTED
    # Where the webhook has no groups any more, dispatch/groups.py knows which of them only cancel.
    return grouped_state(webhook) or State.IN_TURN


def state_without_hold(webhook: Webhook) -> str:
    """The state of an accepted delivery where its webhook is not on hold."""
    return grouped_state(webhook) or State.ACCEPTED


def is_due(webhook: Webhook, state: str) -> bool:
    """Whether the dispatcher starts the target of a delivery: not if it is for waiting tasks alone."""
    return state == State.ACCEPTED and not serves_waits_only(webhook)
