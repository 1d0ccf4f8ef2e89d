"""Provider information: settings, database manager and command line for a pip installation."""

from __future__ import annotations

from typing import Any

from inbound_webhooks import __version__
from inbound_webhooks.settings import SECTION, option_descriptions


def get_provider_info() -> dict[str, Any]:
    """Data as in Airflow's ``provider_info.schema.json``; every process calls this, so imports are light."""
    return {
        "package-name": "airflow-inbound-webhooks",
        "name": "Inbound webhooks",
        "description": "Start DAG runs from HTTP requests of other systems.",
        "versions": [__version__],
        "db-managers": ["inbound_webhooks.storage.database_manager.WebhookDBManager"],
        "cli": ["inbound_webhooks.cli.parser.get_cli_commands"],
        "config": {
            SECTION: {
                "description": "Inbound webhooks: endpoint, dispatcher and mails.",
                "options": option_descriptions(),
            }
        },
    }
