"""The plugin that Airflow loads in each of its processes; everything heavy is imported on first access."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from inbound_webhooks.settings import BLUEPRINT_PREFIX, base_path


class InboundWebhooksPlugin(AirflowPlugin):
    """Receiver, pages, guard and dispatcher. Only the api-server asks for them, so only it imports them."""

    name = "inbound_webhooks"

    @property
    def flask_blueprints(self) -> list[Any]:
        """The receiver, and the static files of the pages."""
        from inbound_webhooks.receiver.blueprint import blueprint
        from inbound_webhooks.web.base_view import assets

        return [blueprint, assets]

    @property
    def appbuilder_views(self) -> list[Any]:
        """The pages, without names: FAB would add the menu of Airflow 2 for a named view."""
        from inbound_webhooks.web.activity import ActivityView
        from inbound_webhooks.web.dags import DagsView
        from inbound_webhooks.web.deliveries import DeliveriesView
        from inbound_webhooks.web.delivery_lists import DeliveryListsView
        from inbound_webhooks.web.documentation import DocumentationView
        from inbound_webhooks.web.exporting import ExportView
        from inbound_webhooks.web.form_view import FormView
        from inbound_webhooks.web.holds import HoldsView
        from inbound_webhooks.web.listening import ListeningView
        from inbound_webhooks.web.preview import PreviewView
        from inbound_webhooks.web.rejections import RejectionsView
        from inbound_webhooks.web.replay_jobs import ReplayJobsView
        from inbound_webhooks.web.sample_events import SamplesView
        from inbound_webhooks.web.setup import SetupView
        from inbound_webhooks.web.waits import WaitsView
        from inbound_webhooks.web.webhook_rows import WebhookRowsView
        from inbound_webhooks.web.webhooks import WebhooksView

        views = (
            *(WebhooksView, WebhookRowsView, FormView, SetupView, DagsView, HoldsView),
            *(PreviewView, SamplesView, ListeningView),
            *(DeliveriesView, DeliveryListsView, RejectionsView, ReplayJobsView),
            *(ActivityView, ExportView, DocumentationView, WaitsView),
        )
        # Instances instead of classes: FAB adds each view once, with its own state.
        return [{"view": view()} for view in views]

    @property
    def external_views(self) -> list[Any]:
        """Places in Airflow's interface where the pages appear."""
        root = f"{base_path()}{BLUEPRINT_PREFIX}/webhooks"
        icons = {"icon": f"{root}/static/webhook.svg", "icon_dark_mode": f"{root}/static/webhook_dark.svg"}
        return [
            {"name": "Webhooks", "url_route": "webhooks", **icons, **place}
            for place in (
                {"destination": "nav", "category": "browse", "href": f"{root}/"},
                {"destination": "dag", "href": f"{root}/dag/{{DAG_ID}}", "url_route": "webhooks-of-dag"},
                {
                    "destination": "dag_run",
                    "href": f"{root}/run/{{DAG_ID}}/{{RUN_ID}}",
                    "url_route": "webhook-of-run",
                    "name": "Webhook",
                },
                {
                    "destination": "task_instance",
                    "href": f"{root}/task?dag_id={{DAG_ID}}&run_id={{RUN_ID}}&task_id={{TASK_ID}}"
                    "&map_index={MAP_INDEX}",
                    "url_route": "webhook-of-task",
                    "name": "Webhook",
                },
            )
        ]

    @property
    def fastapi_apps(self) -> list[Any]:
        """The REST API, whose lifespan also runs the dispatcher."""
        from inbound_webhooks.rest.app import app

        return [{"app": app, "url_prefix": "/webhooks/api", "name": "Inbound webhooks"}]

    @property
    def fastapi_root_middlewares(self) -> list[Any]:
        """The ASGI guard in front of the receiver."""
        from inbound_webhooks.receiver.asgi.guard import WebhookGuard

        prefix = f"{BLUEPRINT_PREFIX}/webhook"
        return [
            {"middleware": WebhookGuard, "args": [], "kwargs": {"prefix": prefix}, "name": "Webhook guard"}
        ]
