"""The setup of a webhook with its sender: the card that takes the secret and follows the first request."""

from __future__ import annotations

from flask import Response, flash, request, url_for
from flask_appbuilder import expose

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.webhooks import ById
from inbound_webhooks.web.base_view import fragment, redirected, wants_fragment
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks import service
from inbound_webhooks.webhooks.secrets import NewSecret
from inbound_webhooks.webhooks.setup import progress_of

STOP_POLLING = 286
"""The status that ends the polling of htmx."""


class SetupView(WebhookBaseView):
    """The parts of the card that change without a reload."""

    default_view = "progress"

    @expose("/hook/<webhook_id>/setup", methods=["GET"])
    def progress(self, webhook_id: str) -> Response:
        """The last step of the card: whether a verified request has arrived."""
        webhook = self.changeable(webhook_id)
        with transaction() as connection:
            progress = progress_of(connection, webhook)
        response = fragment("webhook_progress.html", webhook=webhook, progress=progress)
        if progress is None or progress.is_done:
            response.status_code = STOP_POLLING
        return response

    @expose("/hook/<webhook_id>/secret", methods=["POST"])
    def enter_secret(self, webhook_id: str) -> Response:
        """Store a secret that the webhook waits for; a problem with it appears beside its field."""
        webhook = self.changeable(webhook_id)
        purpose, value = request.form.get("purpose", ""), request.form.get("value", "").strip("\r\n")
        page = url_for("WebhooksView.edit", webhook_id=webhook.id)
        try:
            service.rotate_secret(
                ById(webhook.id), NewSecret(purpose, value), actor=self.access().name, checked=webhook
            )
        except InvalidDefinition as error:
            if not wants_fragment():
                raise
            message = error.problem.message
            return fragment("secret_problem.html", purpose=purpose, message=message)
        flash(f"Stored the {purpose} secret.")
        if not wants_fragment():
            return redirected(page)
        # The whole page: its readiness and the version that its form is based on have changed.
        return Response(headers={"HX-Redirect": page})
