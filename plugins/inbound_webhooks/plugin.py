"""What Airflow loads in each of its processes; it names things and imports them when they are asked for."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from inbound_webhooks.settings import BLUEPRINT_PREFIX


class InboundWebhooksPlugin(AirflowPlugin):
    """Receiver, guard and dispatcher. Only the api-server asks for these, so only it pays for them."""

    name = "inbound_webhooks"

    @property
    def flask_blueprints(self) -> list[Any]:
        """The receiver."""
        from inbound_webhooks.receiver.blueprint import blueprint

        return [blueprint]

    @property
    def fastapi_apps(self) -> list[Any]:
        """The management API's application, whose lifespan runs the dispatcher."""
        from inbound_webhooks.api import app

        return [{"app": app, "url_prefix": "/webhooks/api", "name": "Inbound webhooks"}]

    @property
    def fastapi_root_middlewares(self) -> list[Any]:
        """The guard in front of the receiver."""
        from inbound_webhooks.receiver.guard import WebhookGuard

        prefix = f"{BLUEPRINT_PREFIX}/webhook"
        return [
            {"middleware": WebhookGuard, "args": [], "kwargs": {"prefix": prefix}, "name": "Webhook guard"}
        ]
