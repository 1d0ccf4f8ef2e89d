"""Rejections: of all webhooks that the user may see, and the part of a webhook's page that updates itself."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_appbuilder import expose

from inbound_webhooks.storage import rejection_lists
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.rejection_lists import MOST_COUNTED
from inbound_webhooks.web.base_view import fragment
from inbound_webhooks.web.webhooks import WebhookBaseView
from inbound_webhooks.webhooks.access import Access

SHOWN = 50

MAX_REASON_CHARS = 500


class RejectionsView(WebhookBaseView):
    """Requests that were rejected before their sender was verified."""

    default_view = "all"

    @expose("/rejections", methods=["GET"])
    def all(self) -> Response:
        """The newest rejections of all webhooks, and their number by reason."""
        return self.show("all_rejections.html", **read_rejections(self.access()))

    @expose("/rejections/rows", methods=["GET"])
    def rows(self) -> Response:
        """The lists of this page alone."""
        return fragment("rejection_list.html", access=self.access(), **read_rejections(self.access()))

    @expose("/hook/<webhook_id>/rejections/rows", methods=["GET"])
    def rows_of_webhook(self, webhook_id: str) -> Response:
        """The lists of a webhook's page alone."""
        values = read_rejections(self.access(), self.visible(webhook_id).id)
        return fragment("rejection_list.html", access=self.access(), **values)


def read_rejections(access: Access, webhook_id: str = "") -> dict[str, Any]:
    """The values of ``rejection_list.html``.

    :param webhook_id: of the webhook whose rejections these are, "" for all
    """
    reason = request.args.get("reason", "")[:MAX_REASON_CHARS].replace("\x00", "")
    if not webhook_id:
        with transaction() as connection:
            named = rejection_lists.named_origins(connection)
        visible = access.visible(named)
        among = None if named <= visible else visible
    else:
        among = None
    with transaction() as connection:
        reasons = rejection_lists.by_reason(connection, among, webhook_id)
        found = rejection_lists.newest(connection, among, webhook_id, reason=reason, limit=SHOWN)
    return {
        "reasons": reasons,
        "rejections": [row for row in found if access.may_see(row)],
        "reason": reason,
        "rejection_count": sum(each.number for each in reasons),
        "most_counted": MOST_COUNTED,
        "webhook_id": webhook_id,
    }
