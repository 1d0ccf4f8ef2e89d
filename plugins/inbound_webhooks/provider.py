"""What pip-installed Airflow learns of us: settings, database manager, command line."""

from __future__ import annotations

from typing import Any

from inbound_webhooks import __version__
from inbound_webhooks.settings import SECTION, option_descriptions


def get_provider_info() -> dict[str, Any]:
    """Airflow's ``provider_info.schema.json``; called in each process, so it imports nothing heavy."""
    return {
        "package-name": "airflow-inbound-webhooks",
        "name": "Inbound webhooks",
        "description": "Start a DAG run with an HTTP POST.",
        "versions": [__version__],
        "db-managers": ["inbound_webhooks.storage.database_manager.WebhookDBManager"],
        "cli": ["inbound_webhooks.cli.parser.get_cli_commands"],
        "config": {
            SECTION: {
                "description": "Inbound webhooks: the receiver and the dispatcher.",
                "options": option_descriptions(),
            }
        },
    }
