"""Webhooks as a definition file to download."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Response, request
from flask_appbuilder import expose

from inbound_webhooks.errors import DefinitionError, NotPermitted
from inbound_webhooks.files.exporting import exported, file_text
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.webhook import Webhook
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.origins import webhook_origins
from inbound_webhooks.web.catalog import ListRequest, webhook_query
from inbound_webhooks.web.webhooks import MAX_BULK, WebhookBaseView

MOST_EXPORTED = 500
"""Webhooks of one file: the page waits for it, and each webhook takes a few queries."""


class ExportView(WebhookBaseView):
    """Only webhooks that the user may change: an export shows names of secrets and all rules."""

    default_view = "several"

    @expose("/hook/<webhook_id>/export", methods=["GET"])
    def one(self, webhook_id: str) -> Response:
        """One webhook."""
        webhook = self.changeable(webhook_id)
        return _file([webhook], re.sub(r"[^A-Za-z0-9_.-]+", "-", webhook.name).strip("-.")[:80] or webhook.id)

    @expose("/export", methods=["GET"])
    def several(self) -> Response:
        """The selected webhooks, or all in the list that the user may change."""
        ids = request.args.getlist("id")[:MAX_BULK]
        webhooks = [self.changeable(webhook_id) for webhook_id in dict.fromkeys(ids)] if ids else self._all()
        return _file(webhooks, f"webhooks-{utc_now():%Y-%m-%d}")

    def _all(self) -> list[Webhook]:
        access = self.access()
        if not access.may_create_any:
            raise NotPermitted("Exporting webhooks requires the permission to trigger their Dags.")
        with transaction() as connection:
            named = webhook_origins(connection)
        changeable = {each for each in access.visible(named) if access.may_change(each)}
        query = webhook_query(ListRequest.read(request.args), changeable, limit=MOST_EXPORTED + 1)
        with transaction() as connection:
            webhooks, total = listing.webhooks_page(connection, query)
        if total > MOST_EXPORTED:
            raise DefinitionError(
                f"{total:,} webhooks are too many for one file of this page, which holds {MOST_EXPORTED}. "
                "Filter the list first, or run `airflow webhooks export`."
            )
        return [webhook for webhook in webhooks if access.may_change(webhook)]


def _file(webhooks: Sequence[Webhook], name: str) -> Response:
    response = Response(file_text(exported(webhooks)), mimetype="application/yaml")
    response.headers.set("Content-Disposition", "attachment", filename=f"{name}.yaml")
    return response
