"""The states of a delivery that is accepted: when it is stored, and when its hold has ended."""

from __future__ import annotations

from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.holds import HeldDelivery


def first_state(webhook: Webhook) -> str:
    """The state in which an accepted delivery is stored."""
    return State.HELD if webhook.holds_new else State.ACCEPTED


def state_after_hold(_webhook: Webhook, _delivery: HeldDelivery) -> str:
    """The state that a held delivery goes on in: the one that it would have had without the hold."""
    return State.ACCEPTED
