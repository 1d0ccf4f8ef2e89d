"""Which waiting tasks a previewed request would resume."""

from __future__ import annotations

import json

from inbound_webhooks.deliveries.awaited_event import AwaitedEvent
from inbound_webhooks.deliveries.stored_request import new_delivery
from inbound_webhooks.event.judge import Outcome, Verdict
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.wait_match import Comparison
from inbound_webhooks.records.target import serves_waits_only
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import matched_waits
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.webhooks.compiled import CompiledWebhook

NOTHING_WAITS = "No task waits for it: the event would be unmatched."
NONE_MATCHES = "It matches no task that waits for the webhook."


def resumed_note(compiled: CompiledWebhook, request: InboundRequest, verdict: Verdict) -> str | None:
    """What the event would do for waiting tasks; None where none waits, and the webhook has a target."""
    if verdict.outcome != Outcome.ACCEPTED:
        return None
    webhook, settings = compiled.webhook, Settings.load()
    with transaction() as connection:
        paths, conditions = matched_waits.compared_with(connection, webhook.id)
    if not paths and not conditions:
        return NOTHING_WAITS if serves_waits_only(webhook) else None
    event = AwaitedEvent(webhook, new_delivery(compiled, request, verdict), settings)
    keys = event.keys(Comparison(map(json.loads, paths), conditions, work=settings.max_expression_work))
    with transaction() as connection:
        found = matched_waits.candidates(connection, webhook.id, keys, request.received_at)
    resumed = event.outcomes(event.matching(found)).of_waits
    if not resumed:
        return NONE_MATCHES
    return (
        "It would resume 1 waiting task." if len(resumed) == 1 else f"It would resume {len(resumed)} tasks."
    )
