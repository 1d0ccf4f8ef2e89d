"""Fair order of dispatch: each webhook with due deliveries gets a share before any gets a second one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import TypeVar

from sqlalchemy import Connection

from inbound_webhooks.airflow_bridge.queued_runs import Room
from inbound_webhooks.storage import claims
from inbound_webhooks.storage.claims import ClaimedDelivery, Startable, WaitingWebhook, waiting_webhooks
from inbound_webhooks.storage.database import transaction

Item = TypeVar("Item")


class RoundRobin:
    """Iterates over the webhooks with due deliveries, at most one batch's worth at a time."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._after = ""

    def next(self, now: datetime, *, has_room: bool = True) -> list[WaitingWebhook]:
        """The next webhooks with due deliveries, at most as many as a batch has places.

        :param has_room: whether Airflow's queue has; without it, only webhooks that do not wait for room
        :raises DatabaseUnavailable: the position has not moved
        """
        with transaction() as connection:
            ask = partial(waiting_webhooks, connection, now, limit=self._places, has_room=has_room)
            found = ask(after=self._after)
            # At the end of the ids: go on from the first one, without choosing a webhook twice.
            if len(found) < self._places and self._after:
                known = {webhook.webhook_id for webhook in found}
                found += [webhook for webhook in ask(after="") if webhook.webhook_id not in known]
                found = found[: self._places]
        self._after = found[-1].webhook_id if len(found) == self._places else ""
        return found

    def go_on_after(self, webhook_id: str) -> None:
        """Begin the next batch behind this webhook."""
        self._after = webhook_id


@dataclass(frozen=True)
class Claim:
    """Locked deliveries; ``last_webhook_id`` is set if the batch had no bytes for the webhooks after it."""

    deliveries: list[ClaimedDelivery]
    last_webhook_id: str | None = None


def claim(
    connection: Connection,
    webhooks: Sequence[WaitingWebhook],
    now: datetime,
    places: int,
    *,
    limit_bytes: int,
    room: Room | None = None,
) -> Claim:
    """Lock webhooks and then their first due deliveries, a fair share of each, in the order of arrival.

    The confs of a batch have ``limit_bytes`` together, unless the first delivery alone has more.
    Webhooks are locked before deliveries, the order in which a deletion locks them too, so that the two
    cannot deadlock.

    :param room: for further runs in Airflow's queue; None for any number
    """
    found_limits = claims.lock_enabled(connection, [webhook.webhook_id for webhook in webhooks])
    wanted = {}
    for webhook in webhooks:
        if (limits := found_limits.get(webhook.webhook_id)) is not None:
            free = min(webhook.due, _free_runs(connection, webhook, limits.max_active_runs))
            if room is not None and limits.needs_room:
                free = min(free, room.left_of(limits.dag_id))
            wanted[webhook.webhook_id] = free
    claimed: list[ClaimedDelivery] = []
    shares = shared(places, wanted)
    if room is not None:
        shares = _within_room(shares, found_limits, room)
    waiting, left_bytes, webhook_id = deque(shares), limit_bytes, ""
    while waiting and (left_bytes > 0 or not claimed):
        webhook_id = waiting.popleft()
        # What a webhook does not use of its share goes to those after it.
        share = left_bytes // (len(waiting) + 1)
        found = claims.claim_due(connection, webhook_id, now, limit=shares[webhook_id], limit_bytes=share)
        left_bytes -= sum(len(delivery.conf or "") for delivery in found)
        claimed += found
    return Claim(claimed, webhook_id if waiting else None)


def _within_room(shares: Mapping[str, int], found: Mapping[str, Startable], room: Room) -> dict[str, int]:
    """The shares as far as Airflow's queue has room, and the queues of DAGs, which their webhooks share."""
    queued = shared(room.left, {each: share for each, share in shares.items() if found[each].needs_room})
    left = {limits.dag_id: room.left_of(limits.dag_id) for limits in found.values()}
    given: dict[str, int] = {}
    for webhook_id, number in shares.items():
        if found[webhook_id].needs_room:
            dag_id = found[webhook_id].dag_id
            number = min(queued.get(webhook_id, 0), left[dag_id])
            left[dag_id] -= number
        if number > 0:
            given[webhook_id] = number
    return given


def _free_runs(connection: Connection, webhook: WaitingWebhook, max_active_runs: int | None) -> int:
    """How many more runs a webhook may have; 0 while another dispatcher works on a limited webhook."""
    if max_active_runs is None:
        return webhook.due
    if not claims.try_lock_webhook(connection, webhook.webhook_id):
        return 0
    return max(0, max_active_runs - claims.count_active(connection, webhook.webhook_id))


def in_turns(items: Sequence[Item], webhook_id: Callable[[Item], str]) -> list[Item]:
    """The first item of each webhook, then the second ones, and so on."""
    taken: Counter[str] = Counter()
    turns: list[int] = []
    for item in items:
        turns.append(taken[webhook_id(item)])
        taken[webhook_id(item)] += 1
    return [item for _, item in sorted(zip(turns, items, strict=True), key=itemgetter(0))]


def shared(places: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """Divide places among webhooks (id -> wanted) as evenly as their wants allow."""
    given = dict.fromkeys(wanted, 0)
    while places > 0 and (
        unsatisfied := [webhook_id for webhook_id, number in wanted.items() if given[webhook_id] < number]
    ):
        # With fewer places left than webhooks, the first ones get one each.
        each = max(1, places // len(unsatisfied))
        for webhook_id in unsatisfied[:places]:
            portion = min(each, wanted[webhook_id] - given[webhook_id])
            given[webhook_id] += portion
            places -= portion
    return {webhook_id: number for webhook_id, number in given.items() if number}
