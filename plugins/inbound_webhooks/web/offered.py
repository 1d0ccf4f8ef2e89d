"""The commands that a webhook's page offers for a shell."""

from __future__ import annotations

from inbound_webhooks.deliveries import samples
from inbound_webhooks.errors import DefinitionError, RequestError
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.webhook import Webhook


def offered_curl(webhook: Webhook, url: str | None) -> str:
    """The commands that send a sample to a webhook; "" where none can be made."""
    try:
        return samples.curl(webhook, samples.sample_of(webhook, get_receiver().judging.dags), url or "")
    except (DefinitionError, RequestError):
        # An older version stored it, or its params take long to check; the page says so elsewhere.
        return ""
