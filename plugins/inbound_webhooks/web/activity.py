"""The activity of a webhook, and of all webhooks that the user may see: charts and their numbers."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask_appbuilder import expose

from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.records.activity import Activity
from inbound_webhooks.records.target import Origin
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.activity import MOST_SUMMED, read_activity, read_total
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.storage.origins import webhook_origins
from inbound_webhooks.web.base_view import fragment, wants_fragment
from inbound_webhooks.web.charts import HOURS, chart
from inbound_webhooks.web.webhooks import WebhookBaseView


class ActivityView(WebhookBaseView):
    """Charts; htmx gets only what changes on them."""

    default_view = "overall"

    @expose("/hook/<webhook_id>/activity", methods=["GET"])
    def of_webhook(self, webhook_id: str) -> Response:
        """A webhook's activity."""
        webhook, hours = self.visible(webhook_id), _hours()
        with transaction() as connection:
            found = read_activity(connection, [webhook.id], utc_now(), hours=hours)[webhook.id]
        return self._show("activity.html", found, hours, webhook=webhook)

    @expose("/activity", methods=["GET"])
    def overall(self) -> Response:
        """The activity of all webhooks that the user may see, or of those of one DAG."""
        dag_id, hours = request.args.get("dag", "")[:250], _hours()
        if dag_id and not self.access().may_see(dag_id):
            raise NotPermitted("You may not see this Dag.")
        with transaction() as connection:
            named = webhook_origins(connection)
        visible = {Origin(dag_id)} if dag_id else self.access().visible(named)
        with transaction() as connection:
            among, is_part = None, False
            if not named <= visible:
                among = listing.webhook_ids(connection, visible, MOST_SUMMED + 1)
                is_part = len(among) > MOST_SUMMED
                among = among[:MOST_SUMMED]
            found = read_total(connection, utc_now(), hours=hours, among=among)
        summed = MOST_SUMMED if is_part else None
        return self._show("overall_activity.html", found, hours, dag_id=dag_id, webhook=None, summed=summed)

    def _show(self, template: str, found: Activity, hours: int, **values: Any) -> Response:
        values |= {"chart": chart(found, hours), "hours": hours, "periods": tuple(HOURS)}
        if wants_fragment():
            return fragment("activity_charts.html", **values)
        return self.show(template, **values)


def _hours() -> int:
    asked = request.args.get("hours", "")
    return next((hours for hours in HOURS if asked == str(hours)), 24)
