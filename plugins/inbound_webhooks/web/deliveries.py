"""A webhook's deliveries and rejections, one delivery in full, and its replay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flask import Response, flash, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.airflow_bridge.dag_runs import RUN_PREFIX
from inbound_webhooks.deliveries.details import waiting_reason
from inbound_webhooks.deliveries.replay import replay
from inbound_webhooks.deliveries.stored_request import headers_of, text_of
from inbound_webhooks.errors import DeliveryNotFound, NotPermitted
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.delivery import Delivery, State
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.deliveries import find_delivery
from inbound_webhooks.storage.mails import mails_of_delivery
from inbound_webhooks.storage.outcomes import load_tasks
from inbound_webhooks.storage.webhooks import webhook_by_id
from inbound_webhooks.urls import log_url
from inbound_webhooks.web import stored_requests
from inbound_webhooks.web.base_view import airflow_url, json_reply, redirected
from inbound_webhooks.web.delivery_lists import read_list
from inbound_webhooks.web.formatting import iso
from inbound_webhooks.web.rejections import read_rejections
from inbound_webhooks.web.shown_delivery import with_runs
from inbound_webhooks.web.webhooks import WebhookBaseView


class DeliveriesView(WebhookBaseView):
    """Deliveries and rejections."""

    default_view = "of_webhook"

    @expose("/hook/<webhook_id>/deliveries", methods=["GET"])
    def of_webhook(self, webhook_id: str) -> Response:
        """A webhook's newest deliveries, or those before a given one."""
        webhook = self.visible(webhook_id)
        return self.show(
            "deliveries.html",
            webhook=webhook,
            list=read_list(self.access(), webhook.id),
            states=State.ALL,
            **read_rejections(self.access(), webhook.id),
        )

    def _readable(self, rows: Sequence[Any]) -> list[Any]:
        # The webhook may have had another DAG before, which its current readers may not see.
        return [row for row in rows if self.access().may_see(row.dag_id)]

    @expose("/delivery/<delivery_id>", methods=["GET"])
    def one(self, delivery_id: str) -> Response:
        """One delivery in full."""
        return self._one(self._found(delivery_id), place="page")

    @expose("/run/<dag_id>/<path:run_id>", methods=["GET"])
    def of_run(self, dag_id: str, run_id: str) -> Response:
        """The tab of a DAG run: the delivery that started it."""
        if not self.access().may_see(dag_id):
            raise NotPermitted("You may not see this Dag.")
        with transaction() as connection:
            delivery = find_delivery(connection, run_id.removeprefix(RUN_PREFIX))
        if delivery is None or delivery.run_id != run_id or delivery.dag_id != dag_id:
            return self.show("no_delivery.html")
        return self._one(delivery, place="run")

    def _one(self, delivery: Delivery, place: str) -> Response:
        may_read = self.access().may_read_runs(delivery.dag_id)
        with transaction() as connection:
            (shown,) = with_runs(connection, [delivery])
            webhook = webhook_by_id(connection, delivery.webhook_id)
            waits_for = waiting_reason(connection, delivery)
        visible = webhook is not None and self.access().may_see(webhook.dag_id)
        contents = self._contents(delivery) if may_read else None
        return self.show(
            "delivery.html",
            item=shown,
            webhook=webhook if visible else None,
            contents=contents,
            family=self._family(delivery),
            mails=self._mails(delivery) if may_read else None,
            failed_tasks=self._failed_tasks(delivery) if may_read else [],
            waits_for=waits_for,
            place=place,
            may_replay=visible
            and webhook is not None
            and may_read
            and self.access().may_replay(webhook.dag_id),
        )

    def _family(self, delivery: Delivery) -> dict[str, Any]:
        """The replayed delivery and this one's replays, if the user may see them."""
        with transaction() as connection:
            origin = find_delivery(connection, delivery.replay_of) if delivery.replay_of else None
            replays = listing.replays_of(connection, delivery.id)
        return {
            "origin": next(iter(self._readable([origin] if origin else [])), None),
            "replays": self._readable(replays),
        }

    def _mails(self, delivery: Delivery) -> Sequence[Any]:
        with transaction() as connection:
            return mails_of_delivery(connection, delivery.id)

    def _failed_tasks(self, delivery: Delivery) -> list[tuple[Any, str]]:
        """The failed tasks, each with the URL of its log."""
        base_url, run_id = airflow_url("").rstrip("/"), delivery.run_id or ""
        tasks = load_tasks(delivery.failed_tasks)
        return [(task, log_url(base_url, delivery.dag_id, run_id, task)) for task in tasks]

    def _contents(self, delivery: Delivery) -> dict[str, Any]:
        """The parts that require the permission to read the DAG's runs."""
        return {
            "headers": headers_of(delivery),
            "query": delivery.query_string,
            "body": stored_requests.shown_body(delivery, Settings.load().max_body_bytes),
            "conf": json.loads(delivery.conf) if delivery.conf is not None else None,
        }

    @expose("/delivery/<delivery_id>/replay", methods=["POST"])
    def replay(self, delivery_id: str) -> Response:
        """Process the delivery again, with its original conf or with the current mapping."""
        delivery = self._found(delivery_id)
        with transaction() as connection:
            webhook = webhook_by_id(connection, delivery.webhook_id)
        if webhook is not None and not self.access().may_replay(webhook.dag_id):
            raise NotPermitted(f"A replay requires the permission to trigger the Dag {webhook.dag_id}.")
        if not self.access().may_read_runs(delivery.dag_id):
            raise NotPermitted("A replay requires the permission to read the runs of the delivery's Dag.")
        replayed = replay(
            get_receiver(),
            delivery.id,
            actor=self.access().name,
            remap=request.form.get("remap") == "1",
            checked=webhook,
        )
        flash("Replayed. This is the new delivery.")
        return redirected(url_for("DeliveriesView.one", delivery_id=replayed.id))

    @expose("/hook/<webhook_id>/fields.json", methods=["GET"])
    def fields(self, webhook_id: str) -> Response:
        """The paths in the newest delivery, for the completion of expressions."""
        webhook = self.visible(webhook_id)
        with transaction() as connection:
            newest = listing.newest_with_body(connection, webhook.id)
        if newest is None or not self.access().may_read_runs(newest.dag_id):
            return json_reply([])
        return json_reply(stored_requests.fields_of(newest, Settings.load().max_body_bytes))

    @expose("/hook/<webhook_id>/recent.json", methods=["GET"])
    def recent(self, webhook_id: str) -> Response:
        """The newest deliveries that the user may preview with."""
        webhook = self.visible(webhook_id)
        with transaction() as connection:
            rows = listing.deliveries_page(connection, webhook.id, limit=10)
        found = [row for row in rows if self.access().may_read_runs(row.dag_id)]
        return json_reply([{"id": row.id, "state": row.state, "at": iso(row.received_at)} for row in found])

    @expose("/delivery/<delivery_id>.json", methods=["GET"])
    def sample(self, delivery_id: str) -> Response:
        """A stored request to preview with; credentials stay masked."""
        delivery = self._found(delivery_id)
        if not self.access().may_read_runs(delivery.dag_id):
            raise NotPermitted("You may not read the runs of this Dag.")
        encoded = ("content-encoding", "content-length")
        headers = [pair for pair in headers_of(delivery) if pair[0].lower() not in encoded]
        return json_reply(
            {
                "headers": "\n".join(f"{name}: {value}" for name, value in headers),
                "query": delivery.query_string,
                "body": text_of(delivery, Settings.load().max_body_bytes),
            }
        )

    def _found(self, delivery_id: str) -> Delivery:
        with transaction() as connection:
            delivery = find_delivery(connection, delivery_id)
        if delivery is None or not self.access().may_see(delivery.dag_id):
            raise DeliveryNotFound("There is no such delivery, or you may not see its Dag.")
        return delivery
