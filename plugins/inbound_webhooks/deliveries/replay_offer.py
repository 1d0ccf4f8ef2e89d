"""Whether a delivery can be replayed now, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inbound_webhooks.airflow_bridge.dag_cache import DagState
from inbound_webhooks.deliveries.cause import dag_problem
from inbound_webhooks.deliveries.replay import OF_A_TASK
from inbound_webhooks.records.target import subject_of
from inbound_webhooks.records.webhook import Webhook

NO_BODY = (
    "The body is not stored (see store_bodies, retention_days and max_refused_bytes_per_minute in "
    "[inbound_webhooks]), so the current mapping has nothing to read."
)


@dataclass(frozen=True)
class ReplayOffer:
    """Which ways of a replay can work; ``reason`` says why one of them cannot."""

    original: bool = False
    remap: bool = False
    reason: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether one of the ways can work."""
        return self.original or self.remap


def replay_offer(
    delivery: Any,
    webhook: Webhook | None,
    dag: DagState | None,
    *,
    has_conf: bool,
    is_visible: bool,
    may_read_runs: bool,
    may_replay: bool,
) -> ReplayOffer:
    """The ways in which a user can replay a delivery.

    :param dag: the state of the webhook's DAG, which takes the replay
    :param is_visible: whether the user may see the webhook
    """
    if delivery.wait_id is not None:
        return ReplayOffer(reason=OF_A_TASK)
    if reason := _blocked(webhook, dag, is_visible=is_visible, runs=may_read_runs, replay=may_replay):
        return ReplayOffer(reason=reason)
    if delivery.body_stored:
        return ReplayOffer(original=has_conf, remap=True)
    more = "Only a replay with the original conf is possible."
    without = "Without a conf, the delivery cannot be replayed either."
    return ReplayOffer(original=has_conf, reason=f"{NO_BODY} {more if has_conf else without}")


def _blocked(
    webhook: Webhook | None, dag: DagState | None, *, is_visible: bool, runs: bool, replay: bool
) -> str:
    if webhook is None:
        return "The webhook was deleted, so its deliveries cannot be replayed."
    if not is_visible:
        return "A replay requires the permission to see the webhook's Dag."
    if not runs:
        return "A replay requires the permission to read the Dag's runs."
    if not replay:
        right = subject_of(webhook).right("Dag")
        return f"A replay requires the permission to change the webhook and {right}."
    if not webhook.enabled:
        return "The webhook is disabled, so nothing can be replayed. Enable it first."
    problem = dag_problem(webhook.dag_id, dag)
    return "" if problem is None else f"Nothing can be replayed now: {problem.message}"
