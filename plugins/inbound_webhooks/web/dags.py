"""What the pages do with DAGs: unpause one whose runs wait."""

from __future__ import annotations

from flask import Response, flash
from flask_appbuilder import expose

from inbound_webhooks.airflow_bridge.pausing import unpause
from inbound_webhooks.errors import NotPermitted
from inbound_webhooks.monitoring.clock import utc_now
from inbound_webhooks.storage.database import transaction
from inbound_webhooks.web import way_back
from inbound_webhooks.web.base_view import Page, redirected


class DagsView(Page):
    """Actions on DAGs."""

    default_view = "unpause"

    @expose("/dag/<dag_id>/unpause", methods=["POST"])
    def unpause(self, dag_id: str) -> Response:
        """Unpause a DAG, for users who may do so on Airflow's own pages."""
        if not self.access().may_unpause(dag_id):
            raise NotPermitted(f"Unpausing requires the permission to edit the Dag {dag_id}.")
        with transaction() as connection:
            is_known = unpause(connection, dag_id, actor=self.access().name, at=utc_now())
        if is_known:
            flash(f"Unpaused {dag_id}. Its waiting runs start now.")
        else:
            flash(f"Airflow has no Dag {dag_id}.", "bad")
        return redirected(way_back.after_change())
