"""Judges the events of a request to a webhook that splits lists or has routes, by the params of each DAG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inbound_webhooks.airflow_bridge.dag_cache import CachedDag, startable
from inbound_webhooks.deliveries.stored_request import new_children, new_delivery
from inbound_webhooks.event.fan_out import FanOutLimits, Target, decide_as_received, decide_child
from inbound_webhooks.event.judge import Outcome, Secrets, Verdict
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.records.delivery import Delivery, new_delivery_id
from inbound_webhooks.records.webhook import FIRST_ROUTE
from inbound_webhooks.settings import Settings
from inbound_webhooks.webhooks.compiled import CompiledWebhook


@dataclass(frozen=True)
class EventJudge:
    """Judges the events of a request within the installation's limits; pure but for new ids."""

    max_content_bytes: int
    limits: FanOutLimits

    @classmethod
    def of(cls, settings: Settings) -> EventJudge:
        """With the limits of some settings."""
        limits = FanOutLimits(
            max_items=settings.max_items_per_request, max_conf_items=settings.max_conf_items
        )
        return cls(settings.max_body_bytes, limits)

    def decide(
        self,
        compiled: CompiledWebhook,
        request: InboundRequest,
        dag_of: Callable[[str], CachedDag | None],
        *,
        secrets: Secrets,
        delivery_id: str | None = None,
    ) -> Verdict:
        """See :func:`inbound_webhooks.event.fan_out.decide_as_received`.

        :param dag_of: the DAG with an id, None if Airflow has not serialized it
        """
        return decide_as_received(
            compiled.rules,
            request,
            [_target(compiled, each, dag_of) for each in compiled.targets],
            delivery_id=delivery_id or new_delivery_id(),
            new_id=new_delivery_id,
            max_content_bytes=self.max_content_bytes,
            secrets=secrets,
            limits=self.limits,
            first_match=compiled.webhook.routes == FIRST_ROUTE,
        )

    def decide_child(
        self,
        compiled: CompiledWebhook,
        request: InboundRequest,
        dag_of: Callable[[str], CachedDag | None],
        item_index: int | None,
    ) -> Verdict:
        """See :func:`inbound_webhooks.event.fan_out.decide_child`."""
        return decide_child(
            _target(compiled, compiled, dag_of),
            request,
            item_index,
            new_id=new_delivery_id,
            max_content_bytes=self.max_content_bytes,
            limits=self.limits,
        )


def _target(
    source: CompiledWebhook, compiled: CompiledWebhook, dag_of: Callable[[str], CachedDag | None]
) -> Target:
    webhook = compiled.webhook
    dag = startable(dag_of(webhook.dag_id), webhook)
    return Target(
        webhook_id=webhook.id,
        name=webhook.name,
        rules=compiled.rules,
        params=None if dag is None else dag.params,
        params_version=None if dag is None else dag.dag_hash,
        is_enabled=webhook.enabled,
        is_own=compiled is source and webhook.routes is not None,
        is_checked_slowly=dag is not None and dag.may_check_slowly,
    )


def with_children(
    compiled: CompiledWebhook, request: InboundRequest, verdict: Verdict
) -> tuple[Delivery, Sequence[Delivery]]:
    """The delivery of a request that was judged, and its children where it is split."""
    delivery = new_delivery(compiled, request, verdict)
    if verdict.outcome != Outcome.SPLIT:
        return delivery, ()
    return delivery, new_children(compiled.targets, request, verdict, delivery)
