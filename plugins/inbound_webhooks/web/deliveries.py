"""A webhook's deliveries and rejections, and what the form takes from them."""

from __future__ import annotations

from flask import Response
from flask_appbuilder import expose

from inbound_webhooks.deliveries.stored_request import headers_of, text_of
from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.records.delivery import State
from inbound_webhooks.settings import Settings
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.web import stored_requests
from inbound_webhooks.web.base_view import json_reply
from inbound_webhooks.web.delivery import DeliveryPages
from inbound_webhooks.web.delivery_lists import read_list
from inbound_webhooks.web.formatting import iso
from inbound_webhooks.web.rejections import read_rejections


class DeliveriesView(DeliveryPages):
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

    @expose("/hook/<webhook_id>/fields.json", methods=["GET"])
    def fields(self, webhook_id: str) -> Response:
        """The paths in the newest delivery, for the completion of expressions."""
        webhook = self.visible(webhook_id)
        with transaction() as connection:
            newest = listing.newest_with_body(connection, webhook.id)
        if newest is None or not self.access().may_read_runs(newest):
            return json_reply([])
        return json_reply(stored_requests.fields_of(newest, Settings.load().max_body_bytes))

    @expose("/hook/<webhook_id>/recent.json", methods=["GET"])
    def recent(self, webhook_id: str) -> Response:
        """The newest deliveries that the user may preview with."""
        webhook = self.visible(webhook_id)
        with transaction() as connection:
            rows = listing.deliveries_page(connection, webhook.id, limit=10)
        found = [row for row in rows if self.access().may_read_runs(row)]
        return json_reply([{"id": row.id, "state": row.state, "at": iso(row.received_at)} for row in found])

    @expose("/delivery/<delivery_id>.json", methods=["GET"])
    def sample(self, delivery_id: str) -> Response:
        """A stored request to preview with; credentials stay masked."""
        delivery = self.found(delivery_id)
        if not self.access().may_read_runs(delivery):
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
