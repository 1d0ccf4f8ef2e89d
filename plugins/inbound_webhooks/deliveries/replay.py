"""Replays a stored delivery as a new one that refers to it."""

from __future__ import annotations

from msgspec.structs import replace

from inbound_webhooks.deliveries import stored_request
from inbound_webhooks.deliveries.judging import Endpoint
from inbound_webhooks.errors import DeliveryNotFound, NotReplayable
from inbound_webhooks.event.grouping import NO_KEY, grouped_state
from inbound_webhooks.event.judge import Outcome
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.delivery import Delivery, State, new_delivery_id
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.webhooks.compiled import compile_webhook

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
    """Accept a stored delivery again, for the webhook's current DAG.

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
    if checked is not None and (webhook.dag_id, webhook.team) != (checked.dag_id, checked.team):
        raise NotReplayable(CHANGED)
    again = _alone(accepted_again(endpoint, stored, webhook, remap=remap))
    stored_id = endpoint.inbox.commit_as(actor, again, webhook.version)
    if stored_id not in (None, again.id):
        # Another delivery has the event's key, but the user asked for this replay explicitly.
        again = replace(again, dedup_key=None)
        stored_id = endpoint.inbox.commit_as(actor, again, webhook.version)
    if stored_id is None:
        raise NotReplayable(CHANGED)
    return again


def accepted_again(endpoint: Endpoint, stored: Delivery, webhook: Webhook, *, remap: bool) -> Delivery:
    """The new delivery for a stored one, not committed yet.

    :raises NotReplayable: the webhook is disabled, the body is needed but was not stored, or the current
        mapping refuses the request
    """
    if not webhook.enabled:
        raise NotReplayable(f"The webhook {webhook.name!r} is disabled. Enable it first.")
    needs_body = remap or stored.conf is None
    if needs_body and not stored.body_stored:
        raise NotReplayable(_without_body(stored))
    if needs_body:
        return _with_current_mapping(endpoint, webhook, stored)
    return _with_original_conf(webhook, stored)


def _with_original_conf(webhook: Webhook, stored: Delivery) -> Delivery:
    now, state = utc_now(), _state_of_replay(webhook)
    return replace(
        stored,
        id=new_delivery_id(),
        webhook_name=webhook.name,
        dag_id=webhook.dag_id,
        state=state,
        received_at=now,
        replay_of=stored.id,
        dedup_key=None,
        error=None,
        attempts=0,
        next_attempt_at=now if state == State.ACCEPTED else None,
        run_id=None,
        dispatched_at=None,
        run_started_at=None,
        finished_at=None,
        failed_tasks=None,
        checked_dag_hash=None,
        custom_response=None,
        accepted_at=now,
        group_key=None if state == State.ACCEPTED else stored.group_key or NO_KEY,
        batch_id=None,
        superseded_by=None,
        cancelled_by=None,
    )


def _state_of_replay(webhook: Webhook) -> str:
    """The first state of a replay: it joins a batch, or waits for its turn, as other deliveries do.

    Only a debounce is left out: an old event must not supersede a newer one, nor be superseded itself, since
    a user has asked for it.
    """
    state = grouped_state(webhook)
    return State.ACCEPTED if state in ("", State.SETTLING) else state


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


def _with_current_mapping(endpoint: Endpoint, webhook: Webhook, stored: Delivery) -> Delivery:
    compiled, request = compile_webhook(webhook), stored_request.restore(stored)
    verdict = endpoint.judging.decide(compiled, request)
    if verdict.error is not None:
        raise NotReplayable(f"The current mapping refuses it: {verdict.error.message}")
    if verdict.outcome == Outcome.FILTERED:
        raise NotReplayable("The current filter excludes it.")
    if verdict.outcome == Outcome.HANDSHAKE:
        raise NotReplayable("The webhook now treats it as a handshake, which starts nothing.")
    now = utc_now()
    delivery = stored_request.new_delivery(compiled, request, verdict)
    again = replace(delivery, received_at=now, replay_of=stored.id, custom_response=None)
    if again.state == State.SETTLING:
        again = replace(again, state=State.ACCEPTED, group_key=None)
    return replace(again, next_attempt_at=now if again.state == State.ACCEPTED else None)
