"""Replays a stored delivery as a new one that refers to it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from inbound_webhooks.deliveries import stored_request
from inbound_webhooks.deliveries.events import with_children
from inbound_webhooks.deliveries.judging import Endpoint
from inbound_webhooks.deliveries.stored_request import SHARED
from inbound_webhooks.errors import DeliveryNotFound, NotReplayable
from inbound_webhooks.event.grouping import NO_KEY
from inbound_webhooks.event.judge import Outcome, Verdict
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.delivery import Delivery, State, new_delivery_id
from inbound_webhooks.records.target import basis_of
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.webhooks.compiled import compile_webhook, load_compiled
from inbound_webhooks.webhooks.first_state import first_state, is_due

Again = tuple[Delivery, Sequence[Delivery]]
"""A new delivery and its children."""

OF_A_TASK = "It resumed, or was to resume, a waiting task: that works once, so it cannot be replayed."
CHANGED = "The webhook was changed at the same time. Try again."
WEBHOOK_DELETED = "The webhook of this delivery was deleted."


def replay(
    endpoint: Endpoint,
    delivery_id: str,
    *,
    actor: str,
    remap: bool = False,
    checked: Webhook | None = None,
) -> Delivery:
    """Accept a stored delivery again, for the webhook's current target.

    A webhook with batches gets it as a batch of one.

    The conf is the original one. With ``remap``, and for refused deliveries, the current mapping computes it
    from the stored request. A refused delivery has no deduplication key; its replay takes the key unless
    another delivery has it, so that a later retry by the sender is recognised as a duplicate.

    :param checked: the webhook for which the actor's permission was checked; None for operators with a shell
    :raises DeliveryNotFound: there is no such delivery
    :raises NotReplayable: the webhook is deleted, disabled or being changed, the body is needed but was not
        stored, or the current mapping refuses the request
    """
    with transaction() as connection:
        stored = find_delivery(connection, delivery_id)
        webhook = webhook_by_id(connection, stored.webhook_id) if stored else None
    if stored is None:
        raise DeliveryNotFound(f"There is no delivery {delivery_id!r}.")
    if stored.wait_id is not None:
        raise NotReplayable(OF_A_TASK)
    if webhook is None:
        raise NotReplayable(WEBHOOK_DELETED)
    # The commit compares the version that is read here, so nothing changes after this either.
    if checked is not None and basis_of(webhook) != basis_of(checked):
        raise NotReplayable(CHANGED)
    again, children = accepted_again(endpoint, stored, webhook, remap=remap)
    again = _alone(again)
    stored_id = endpoint.inbox.commit_as(actor, again, webhook.version, children)
    if stored_id not in (None, again.id):
        # Another delivery has the event's key, but the user asked for this replay explicitly.
        again = replace(again, dedup_key=None)
        stored_id = endpoint.inbox.commit_as(actor, again, webhook.version, children)
    if stored_id is None:
        raise NotReplayable(CHANGED)
    return again


def accepted_again(endpoint: Endpoint, stored: Delivery, webhook: Webhook, *, remap: bool) -> Again:
    """The new delivery for a stored one with its children, not committed yet.

    The replay of a child is a child too: it shares the request of the same parent.

    :raises NotReplayable: the webhook is disabled, the body is needed but was not stored, or the current
        mapping refuses the request
    """
    if not webhook.enabled:
        raise NotReplayable(f"The webhook {webhook.name!r} is disabled. Enable it first.")
    needs_body = remap or stored.conf is None
    if needs_body and not stored.body_stored:
        raise NotReplayable(_without_body(stored))
    if not needs_body:
        return _with_original_conf(webhook, stored), ()
    if stored.parent_id is not None:
        return _child_with_current_mapping(endpoint, webhook, stored), ()
    return _with_current_mapping(endpoint, webhook, stored)


def _with_original_conf(webhook: Webhook, stored: Delivery) -> Delivery:
    now, state = utc_now(), _state_of_replay(webhook)
    return replace(
        stored,
        id=new_delivery_id(),
        webhook_name=webhook.name,
        dag_id=webhook.dag_id,
        asset=webhook.asset,
        asset_event_id=None,
        state=state,
        received_at=now,
        replay_of=stored.id,
        dedup_key=None,
        error=None,
        attempts=0,
        next_attempt_at=now if is_due(webhook, state) else None,
        run_id=None,
        dispatched_at=None,
        run_started_at=None,
        finished_at=None,
        failed_tasks=None,
        checked_dag_hash=None,
        custom_response=None,
        accepted_at=now,
        child_index=None,
        routes=None,
        group_key=None if state == State.ACCEPTED else stored.group_key or NO_KEY,
        batch_id=None,
        superseded_by=None,
        cancelled_by=None,
        **({} if stored.parent_id is None else SHARED),
    )


def _state_of_replay(webhook: Webhook) -> str:
    """The first state of a replay: it joins a batch, or waits for its turn, as other deliveries do.

    Only a debounce is left out: an old event must not supersede a newer one, nor be superseded itself, since
    a user has asked for it.
    """
    state = first_state(webhook)
    return State.ACCEPTED if state == State.SETTLING else state


def _without_debounce(again: Delivery) -> Delivery:
    """A replay that was computed anew, see :func:`_state_of_replay`."""
    if again.state != State.SETTLING:
        return again
    return replace(again, state=State.ACCEPTED, group_key=None, next_attempt_at=again.received_at)


def _alone(again: Delivery) -> Delivery:
    """The replay of one delivery waits for no others: where there are batches, it is one of its own."""
    if again.state != State.BATCHED:
        return again
    now = again.received_at
    # What was accepted is the conf of the event, and not their list.
    return replace(again, state=State.ACCEPTED, batch_id=again.id, next_attempt_at=now, checked_dag_hash=None)


def _without_body(stored: Delivery) -> str:
    if stored.conf is None:
        return (
            "Its body was not stored (see store_bodies, retention_days and max_refused_bytes_per_minute), "
            "and it has no conf to replay."
        )
    return "Its body was not stored (see store_bodies). Replay it with its original conf instead."


def _with_current_mapping(endpoint: Endpoint, webhook: Webhook, stored: Delivery) -> Again:
    compiled, request = load_compiled(webhook), stored_request.restore(stored)
    verdict = endpoint.judging.decide(compiled, request)
    _check(verdict)
    delivery, children = with_children(compiled, request, verdict)
    now = utc_now()
    parts = [
        _without_debounce(
            replace(each, received_at=now, custom_response=None, next_attempt_at=each.next_attempt_at and now)
        )
        for each in (delivery, *children)
    ]
    return replace(parts[0], replay_of=stored.id), parts[1:]


def _child_with_current_mapping(endpoint: Endpoint, webhook: Webhook, stored: Delivery) -> Delivery:
    compiled = compile_webhook(webhook)
    if stored.item_index is not None and compiled.rules.each is None:
        raise NotReplayable("The webhook no longer splits lists, so the current mapping has no item to read.")
    # Its credentials are those of the webhook that received the request.
    request = stored_request.restore(replace(stored, credentials=None))
    verdict = endpoint.judging.decide_child(compiled, request, stored.item_index)
    _check(verdict)
    now = utc_now()
    again = stored_request.new_delivery(compiled, request, verdict, shared=SHARED)
    again = replace(
        again,
        source_ip=stored.source_ip,
        received_at=now,
        next_attempt_at=again.next_attempt_at and now,
        replay_of=stored.id,
        custom_response=None,
        body_stored=stored.body_stored,
        parent_id=stored.parent_id,
        item_index=stored.item_index,
    )
    return _without_debounce(again)


def _check(verdict: Verdict) -> None:
    """Raises NotReplayable where a request would start nothing."""
    if verdict.error is not None:
        raise NotReplayable(f"The current mapping refuses it: {verdict.error.message}")
    if verdict.outcome == Outcome.FILTERED:
        raise NotReplayable(verdict.reason or "The current filter excludes it.")
    if verdict.outcome == Outcome.HANDSHAKE:
        raise NotReplayable("The webhook now treats it as a handshake, which starts nothing.")
