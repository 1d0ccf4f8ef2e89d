"""Whose turn it is: every webhook with waiting deliveries, before one has a second turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from inbound_webhooks.storage import claims
from inbound_webhooks.storage.claims import ClaimedDelivery, WaitingWebhook, waiting_webhooks
from inbound_webhooks.storage.database import transaction


class RoundRobin:
    """Goes around the webhooks that wait, as many at a time as a batch has places."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._after = ""

    def next(self, now: datetime) -> list[WaitingWebhook]:
        """The next webhooks with due deliveries: all there are, or as many as there are places.

        :raises DatabaseUnavailable: nobody has had a turn
        """
        with transaction() as connection:
            found = waiting_webhooks(connection, now, after=self._after, limit=self._places)
            if len(found) < self._places and self._after:
                known = {webhook.webhook_id for webhook in found}
                again = waiting_webhooks(connection, now, after="", limit=self._places)
                found += [webhook for webhook in again if webhook.webhook_id not in known]
                found = found[: self._places]
        self._after = found[-1].webhook_id if len(found) == self._places else ""
        return found


def claim(
    connection: Connection, turn: Sequence[WaitingWebhook], now: datetime, places: int
) -> list[ClaimedDelivery]:
    """Lock webhooks and then their first due deliveries, a fair share of each, in the order of arrival.

    Webhooks are locked before deliveries, as whoever deletes a webhook does, so neither waits for the other
    for ever.
    """
    limits = claims.lock_enabled(connection, [webhook.webhook_id for webhook in turn])
    wanted = {
        webhook.webhook_id: min(webhook.due, _room(connection, webhook, limits[webhook.webhook_id]))
        for webhook in turn
        if webhook.webhook_id in limits
    }
    return [
        claimed
        for webhook_id, number in shared(places, wanted).items()
        for claimed in claims.claim_due(connection, webhook_id, now, number)
    ]


def _room(connection: Connection, webhook: WaitingWebhook, max_active_runs: int | None) -> int:
    """How many more runs a webhook may have; none while another dispatcher makes some of a limited one."""
    if max_active_runs is None:
        return webhook.due
    if not claims.try_lock_webhook(connection, webhook.webhook_id):
        return 0
    return max(0, max_active_runs - claims.count_active(connection, webhook.webhook_id))


def shared(places: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Share places out among webhooks (id -> how many it wants): as evenly as what they want allows."""
    given = dict.fromkeys(wanted, 0)
    while places > 0 and (hungry := _unsatisfied(wanted, given)):
        each = max(1, places // len(hungry))
        for webhook_id in hungry[:places]:
            portion = min(each, wanted[webhook_id] - given[webhook_id])
            given[webhook_id] += portion
            places -= portion
    return {webhook_id: number for webhook_id, number in given.items() if number}


def _unsatisfied(wanted: Mapping[str, int], given: Mapping[str, int]) -> Sequence[str]:
    return [webhook_id for webhook_id, number in wanted.items() if given[webhook_id] < number]
