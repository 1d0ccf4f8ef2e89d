"""What the form of a webhook asks while it is typed, and the end of a grace period."""

from __future__ import annotations

from flask import Response, flash, request
from flask_appbuilder import expose

from inbound_webhooks.event.expressions.bare_path import expression_meant
from inbound_webhooks.storage.webhooks import ById
from inbound_webhooks.web import way_back
from inbound_webhooks.web.base_view import json_reply, redirected
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks import service


class FormView(WebhookBaseView):
    """JSON for the form's scripts, and a button of its URL card."""

    default_view = "meant"

    @expose("/meant.json", methods=["GET"])
    def meant(self) -> Response:
        """The expression that a text was probably meant to be; null for any other text."""
        return json_reply({"meant": expression_meant(request.args.get("text", ""))})

    @expose("/users.json", methods=["GET"])
    def users(self) -> Response:
        """Airflow's users whose name or address contains a text; none without the right to read users."""
        return json_reply(self.access().users(request.args.get("text", "")[:100]))

    @expose("/hook/<webhook_id>/end-grace", methods=["POST"])
    def end_grace(self, webhook_id: str) -> Response:
        """End the grace period of old URLs and secrets."""
        webhook = self.changeable(webhook_id)
        ended = service.end_grace(ById(webhook.id), actor=self.access().name, checked=webhook)
        flash(
            "The old URL or secret stopped working." if ended else "No old URL or secret was valid any more."
        )
        return redirected(way_back.after_change())
