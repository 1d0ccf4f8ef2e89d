"""What Airflow makes of the plugin once it asks for its parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SHIM = Path(__file__).resolve().parents[2] / "plugins"


def test_airflow_takes_guard_application_and_blueprint():
    from airflow import plugins_manager

    from inbound_webhooks.receiver.asgi.guard import WebhookGuard
    from inbound_webhooks.receiver.blueprint import blueprint
    from inbound_webhooks.rest.app import app

    applications, middlewares = plugins_manager.get_fastapi_plugins()
    assert app in [found["app"] for found in applications]
    assert WebhookGuard in [found["middleware"] for found in middlewares]
    assert blueprint in _blueprints(plugins_manager)


def _blueprints(plugins_manager) -> list:
    """Wrapped in a list of dicts or bare, as the version has it."""
    blueprints, _views, _links = plugins_manager.get_flask_plugins()
    return [found.get("blueprint", found) if isinstance(found, dict) else found for found in blueprints]


def test_the_guard_stands_before_the_path_that_the_blueprint_has_below_airflows_prefix():
    from inbound_webhooks.plugin import InboundWebhooksPlugin
    from inbound_webhooks.settings import BLUEPRINT_PREFIX
    from tests.infrastructure.asgi_endpoint import flask_app

    (middleware,) = InboundWebhooksPlugin().fastapi_root_middlewares
    rules = [rule.rule for rule in flask_app().url_map.iter_rules() if "webhook" in rule.endpoint]
    assert [f"{BLUEPRINT_PREFIX}{rule}".rpartition("/<webhook_id>")[0] for rule in rules] == [
        middleware["kwargs"]["prefix"]
    ]


def test_the_plugin_belongs_to_no_team():
    """Airflow skips the root middlewares of a team's plugin, and this one's guards the endpoint."""
    from inbound_webhooks.plugin import InboundWebhooksPlugin

    assert getattr(InboundWebhooksPlugin(), "team_name", None) is None


def test_the_applications_pages_are_only_its_own():
    """Documentation of an interface that Airflow does not guard would be open to everyone."""
    from inbound_webhooks.rest.app import app

    assert [route.path for route in app.routes if getattr(route, "path", "").startswith("/docs")] == []
    assert (app.openapi_url, app.docs_url, app.redoc_url) == (None, None, None)


def test_a_copied_plugins_folder_gives_the_same_plugin():
    code = "import inbound_webhooks_plugin as shim; print(shim.InboundWebhooksPlugin.name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SHIM, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "inbound_webhooks"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_airflow_looks_into_no_other_file_of_a_copied_plugins_folder():
    from airflow._shared.module_loading import find_path_from_directory

    files = [Path(path) for path in find_path_from_directory(str(SHIM), ".airflowignore")]
    assert [path.name for path in files if path.suffix == ".py"] == ["inbound_webhooks_plugin.py"]
