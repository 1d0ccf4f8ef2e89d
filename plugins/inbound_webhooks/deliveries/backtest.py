"""Back-tests a changed webhook against past deliveries, without storing or running anything.

Each stored request is judged by the current and by the changed webhook, both with the DAG's current params,
so that all differences result from the change. Verification, addresses and limits are not checked.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from inbound_webhooks.deliveries import stored_request
from inbound_webhooks.deliveries.family import hidden_routes, judged_family
from inbound_webhooks.deliveries.judging import Endpoint, Judging
from inbound_webhooks.deliveries.schedule_data import schedule_data
from inbound_webhooks.event.differences import ABSENT, Difference, differences
from inbound_webhooks.event.judge import Verdict
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.webhooks.access import Access
from inbound_webhooks.webhooks.compiled import CompiledWebhook, load_compiled
from inbound_webhooks.webhooks.first_state import state_without_hold

MAX_DELIVERIES = 1000
DUPLICATE = "duplicate"

WORK_SECONDS = 0.005
PAUSE_FACTOR = 3
"""After so much of the processor's time a back-test pauses for this many times as long: it shares the Python
interpreter with Airflow's pages and the endpoint."""

NO_BODY = "The body was not stored, so the delivery cannot be judged."


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request: the first state of its delivery, an outcome of the judge, or "duplicate".

    ``repeats`` is the first of the judged deliveries with the same deduplication key. ``events`` are the
    first ones of a request that is several, of ``event_count``; ``routes`` is route -> outcome.
    """

    state: str
    conf: Any
    schedule: Any
    error: str | None
    event_type: str | None
    dedup_key: str | None
    partition_key: str | None
    repeats: str | None
    status: int
    content_type: str | None
    response: str
    events: list[dict[str, Any]] | None = None
    event_count: int | None = None
    routes: dict[str, str] | None = None


@dataclass(frozen=True)
class JudgedDelivery:
    """A delivery's outcomes before and after; if both are None, ``note`` says why it was not judged."""

    delivery_id: str
    dag_id: str
    webhook_id: str
    asset: str | None
    received_at: datetime
    before: Outcome | None = None
    after: Outcome | None = None
    changes: tuple[Difference, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class BackTest:
    """The results for each delivery, newest first."""

    judged: tuple[JudgedDelivery, ...]

    @property
    def changed(self) -> tuple[JudgedDelivery, ...]:
        """The deliveries that would differ."""
        return tuple(delivery for delivery in self.judged if delivery.changes)

    @property
    def not_judged(self) -> tuple[JudgedDelivery, ...]:
        """The deliveries whose bodies were not stored."""
        return tuple(delivery for delivery in self.judged if delivery.note)

    @property
    def moves(self) -> dict[tuple[str, str], int]:
        """(state before, state after) -> number of deliveries."""
        both = [(one.before.state, one.after.state) for one in self.judged if one.before and one.after]
        return dict(Counter((before, after) for before, after in both if before != after))


def back_test(
    endpoint: Endpoint,
    webhook: Webhook,
    changed: Webhook,
    *,
    limit: int,
    access: Access | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> BackTest:
    """Judge a webhook's newest requests; those of its source where it gets the events of another one.

    :param access: of the user who gets it; None for an operator with a shell, who may see every route
    :param limit: the number of deliveries, at most :data:`MAX_DELIVERIES`
    :raises DefinitionError: the change does not compile
    """
    before, after = (
        _Judge(endpoint.judging, load_compiled(webhook), access),
        _Judge(endpoint.judging, load_compiled(changed), access),
    )
    with transaction() as connection:
        # What a route excludes leaves no delivery of its own, so the requests of its source are judged.
        ids = listing.newest_ids(connection, webhook.source or webhook.id, min(limit, MAX_DELIVERIES))
    # In order of arrival: of two deliveries with the same key, the later one is the duplicate.
    judged = [_judged(delivery, before, after) for delivery in _with_pauses(_stored(reversed(ids)), pause)]
    return BackTest(tuple(reversed(judged)))


def _stored(ids: Iterator[str]) -> Iterator[Delivery]:
    """Load deliveries one at a time, since bodies may be large."""
    for delivery_id in ids:
        with transaction() as connection:
            delivery = find_delivery(connection, delivery_id)
        if delivery is not None:
            yield delivery


def _with_pauses(deliveries: Iterator[Delivery], pause: Callable[[float], None]) -> Iterator[Delivery]:
    """The deliveries, with pauses for what they and their judgement have taken of the processor's time."""
    started = time.thread_time()
    for delivery in deliveries:
        yield delivery
        worked = time.thread_time() - started
        if worked >= WORK_SECONDS:
            pause(PAUSE_FACTOR * worked)
            started = time.thread_time()


def _judged(delivery: Delivery, before: _Judge, after: _Judge) -> JudgedDelivery:
    known = (delivery.id, delivery.dag_id, delivery.webhook_id, delivery.asset, delivery.received_at)
    if not delivery.body_stored:
        return JudgedDelivery(*known, note=NO_BODY)
    old, new = before.outcome(delivery), after.outcome(delivery)
    return JudgedDelivery(*known, old, new, tuple(differences(asdict(old), asdict(new))))


def _events_of(
    verdict: Verdict, hidden: Collection[str]
) -> tuple[list[dict[str, Any]] | None, int | None, dict[str, str] | None]:
    """The events of a request; None where it is one."""
    if not (verdict.children or verdict.routes):
        return None, None, None
    found = judged_family(verdict, hidden)
    routes = {
        route["webhook"]: f"{route['state']}: {route['reason']}".rstrip(": ") for route in found["routes"]
    }
    return found["children"], found["children_total"], routes or None


class _Judge:
    """One definition, and the deduplication keys that it has produced."""

    def __init__(self, judging: Judging, compiled: CompiledWebhook, access: Access | None) -> None:
        self._judging = judging
        self._hidden = hidden_routes(compiled, access)
        self._compiled = compiled
        self._first: dict[str, str] = {}

    def _state(self, verdict: Verdict) -> str:
        """The first state of the delivery, were the webhook not on hold."""
        if verdict.outcome != State.ACCEPTED:
            return verdict.outcome
        return state_without_hold(self._compiled.webhook)

    def outcome(self, delivery: Delivery) -> Outcome:
        # Keep credentials masked: an expression on trial must not reveal them.
        request = stored_request.restore(replace(delivery, credentials=None))
        verdict = self._judging.decide(self._compiled, request, delivery_id=delivery.id)
        repeats = self._repeats(verdict)
        events, count, routes = _events_of(verdict, self._hidden)
        return Outcome(
            state=DUPLICATE if repeats else self._state(verdict),
            conf=None if verdict.conf is None else json.loads(verdict.conf),
            schedule=schedule_data(verdict),
            error=(verdict.reason or None) if verdict.error is None else verdict.error.message,
            event_type=verdict.event_type,
            dedup_key=verdict.deduplication_key,
            partition_key=verdict.partition_key,
            repeats=repeats,
            status=verdict.response.status,
            content_type=verdict.response.content_type,
            response=verdict.response.body.decode("utf-8", "replace"),
            events=events,
            event_count=count,
            routes=routes,
        )

    def _repeats(self, verdict: Verdict) -> str | None:
        """The first delivery with the same deduplication key."""
        if verdict.deduplication_key is None:
            return None
        first = self._first.setdefault(verdict.deduplication_key, verdict.delivery_id)
        return None if first == verdict.delivery_id else first


def as_data(test: BackTest) -> dict[str, Any]:
    """A back-test as JSON data; a side without the key is omitted."""
    return {
        "judged": len(test.judged) - len(test.not_judged),
        "changed": len(test.changed),
        "not_judged": len(test.not_judged),
        "moves": [
            {"before": before, "after": after, "deliveries": number}
            for (before, after), number in test.moves.items()
        ],
        "deliveries": [_delivery(one) for one in test.judged],
    }


def _delivery(one: JudgedDelivery) -> dict[str, Any]:
    return {
        "delivery_id": one.delivery_id,
        "received_at": one.received_at.isoformat(),
        "note": one.note,
        "before": asdict(one.before) if one.before else None,
        "after": asdict(one.after) if one.after else None,
        "changes": [
            {
                "field": change.field,
                **({} if change.before is ABSENT else {"before": change.before}),
                **({} if change.after is ABSENT else {"after": change.after}),
            }
            for change in one.changes
        ],
    }
