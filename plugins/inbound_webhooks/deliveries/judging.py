"""Calls the judge with the DAG's params and the installation's limits; thread-safe."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from inbound_webhooks.airflow_bridge.dag_cache import DagCache, startable
from inbound_webhooks.deliveries.events import EventJudge
from inbound_webhooks.deliveries.store.inbox import Inbox
from inbound_webhooks.event.fan_out import FanOutLimits
from inbound_webhooks.event.judge import Secrets, Verdict, Verified, authenticate, decide_as_received
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.sizes import MAX_CONF_ITEMS, MAX_ITEMS_PER_REQUEST
from inbound_webhooks.records.delivery import new_delivery_id
from inbound_webhooks.storage.database import autocommit
from inbound_webhooks.urls import endpoint_url
from inbound_webhooks.webhooks.compiled import CompiledWebhook


class Judging:
    """Judges requests by a webhook and its DAG's current params; writes nothing."""

    def __init__(
        self,
        dags: DagCache,
        *,
        public_url: str,
        max_body_bytes: int,
        max_conf_items: int = MAX_CONF_ITEMS,
        max_items: int = MAX_ITEMS_PER_REQUEST,
    ) -> None:
        self.dags = dags
        self.public_url = public_url
        self._max_body_bytes = max_body_bytes
        self._max_conf_items = max_conf_items
        limits = FanOutLimits(max_items=max_items, max_conf_items=max_conf_items)
        self._events = EventJudge(max_body_bytes, limits)

    def authenticate(
        self,
        compiled: CompiledWebhook,
        request: InboundRequest,
        secrets: Secrets,
        now: datetime,
        *,
        token: str,
        fetched_from: Collection[str] = (),
    ) -> Verified | Verdict:
        """See :func:`inbound_webhooks.event.judge.authenticate`."""
        url = ""
        if compiled.rules.verification:  # some schemes sign the URL
            url = endpoint_url(self.public_url, compiled.webhook.id, token)
            if request.query_string:
                url = f"{url}?{request.query_string}"
        return authenticate(compiled.rules, request, secrets, now, url=url, fetched_from=fetched_from)

    def decide(
        self,
        compiled: CompiledWebhook,
        request: InboundRequest,
        *,
        delivery_id: str | None = None,
        secrets: Secrets | None = None,
    ) -> Verdict:
        """See :func:`inbound_webhooks.event.judge.decide`; blocks while it reads the DAG's params.

        :param delivery_id: the id of a stored delivery to judge again; by default a new id
        """
        if compiled.fans_out:
            return self._events.decide(
                compiled,
                request,
                lambda dag_id: self.dags.get(dag_id, autocommit),
                secrets=secrets or {},
                delivery_id=delivery_id,
            )
        dag = startable(self.dags.get(compiled.webhook.dag_id, autocommit), compiled.webhook)
        return decide_as_received(
            compiled.rules,
            request,
            None if dag is None else dag.params,
            delivery_id=delivery_id or new_delivery_id(),
            max_content_bytes=self._max_body_bytes,
            encoding=request.combined_header("Content-Encoding"),
            secrets=secrets or {},
            params_version=None if dag is None else dag.dag_hash,
            max_conf_items=self._max_conf_items,
        )

    def decide_child(
        self, compiled: CompiledWebhook, request: InboundRequest, item_index: int | None
    ) -> Verdict:
        """Judge one event of a request again; blocks while it reads the DAG's params.

        :param item_index: its place in the webhook's list; None for the whole request
        """
        dag_of = lambda dag_id: self.dags.get(dag_id, autocommit)  # noqa: E731
        return self._events.decide_child(compiled, request, dag_of, item_index)


class Endpoint(Protocol):
    """The parts of this process's endpoint that preview, back-test and replay use."""

    @property
    def judging(self) -> Judging: ...
    @property
    def inbox(self) -> Inbox: ...
