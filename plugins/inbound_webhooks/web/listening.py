"""Listening for requests on a webhook's page."""

from __future__ import annotations

from dataclasses import replace

from flask import Response, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.receiver.instance import get_receiver
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.web import captured_requests
from inbound_webhooks.web.base_view import fragment, redirected, wants_fragment
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks import listening

STOP_POLLING = 286
"""The status that ends htmx's polling."""

MAX_ID_DIGITS = 18


class ListeningView(WebhookBaseView):
    """The part of a webhook's page that shows the requests that come."""

    default_view = "listener"

    @expose("/hook/<webhook_id>/listen", methods=["POST"])
    def listen(self, webhook_id: str) -> Response:
        """Listen for requests, or stop."""
        webhook = self._listenable(webhook_id)
        if request.form.get("do") == "stop":
            listening.stop(webhook)
            webhook = replace(webhook, listening_until=None)
        else:
            until = listening.start(webhook, get_receiver().settings, actor=self.access().name)
            webhook = replace(webhook, listening_until=until)
        if not wants_fragment():
            return redirected(url_for("WebhooksView.edit", webhook_id=webhook.id))
        return fragment("listener.html", webhook=webhook, **captured_requests.values(webhook))

    @expose("/hook/<webhook_id>/listener", methods=["GET"])
    def listener(self, webhook_id: str) -> Response:
        """The captured requests; empty while nothing has changed since the page asked last."""
        webhook = self._listenable(webhook_id)
        found = captured_requests.values(webhook, _id(request.args.get("show", "")))
        newest = found["captured"][0].id if found["captured"] else 0
        if found["listens"] and _id(request.args.get("seen", "")) == newest:
            return Response(status=204)
        response = fragment("listener.html", webhook=webhook, **found)
        if not found["listens"]:
            response.status_code = STOP_POLLING
        return response

    def _listenable(self, webhook_id: str) -> Webhook:
        webhook = self.changeable(webhook_id)
        if not self.access().may_read_runs(webhook):
            raise NotPermitted(
                "Listening shows requests, so it requires the permission to read the Dag's runs."
            )
        return webhook


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_ID_DIGITS else None
