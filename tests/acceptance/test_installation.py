"""The two ways in: `pip install`, and a copy of plugins/ in $AIRFLOW_HOME."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import requests

from tests.acceptance.environments import declared_requirements, make
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.pages import page

pytestmark = pytest.mark.long

TABLES = {
    "inbound_webhook",
    "inbound_webhook_token",
    "inbound_webhook_secret",
    "inbound_webhook_delivery",
    "inbound_webhook_rejection",
    "alembic_version_inbound_webhooks",
}
COMMANDS = {
    "webhooks": ("webhooks", "list", "-o", "json"),
    "config": ("config", "list", "--section", "inbound_webhooks", "--defaults", "--show-values"),
    "providers": ("providers", "list", "-o", "json"),
    "plugins": ("plugins", "-o", "json"),
}
DOCUMENTATION_TITLE = (
    "from inbound_webhooks.web.documentation_text import read_page; print(read_page('pages').title)"
)
RUN_SECONDS = 240
MANAGER = "inbound_webhooks.storage.database_manager.WebhookDBManager"


def tables(environment) -> set[str]:
    with contextlib.closing(sqlite3.connect(environment.database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory, distribution):
    """The wheel of `make dist`, the example DAGs, and a migrated Airflow."""
    environment = make(tmp_path_factory.mktemp("installed"), str(distribution.wheel))
    environment.run("airflow", "db", "migrate")
    return environment


@pytest.fixture(scope="module")
def printed(installed):
    """What each command prints; a command takes seconds, so more than one at once."""
    with ThreadPoolExecutor(2) as pool:
        outputs = pool.map(lambda arguments: installed.run("airflow", *arguments), COMMANDS.values())
        return dict(zip(COMMANDS, outputs, strict=True))


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """No package of ours, but plugins/ where Airflow looks for plugins, and a migrated Airflow."""
    folder = tmp_path_factory.mktemp("copied")
    environment = make(
        folder,
        *declared_requirements(),
        PYTHONPATH=str(folder / "home" / "plugins"),
        AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS=MANAGER,
    )
    [command] = re.findall(r"^\$ (cp .+)$", page("README.md"), re.MULTILINE)
    variables = environment.variables | {"AIRFLOW_HOME": str(environment.home)}
    subprocess.run(["sh", "-c", command], cwd=CHECKOUT, env=variables, check=True)
    for installed in (environment.home / "plugins").glob("*.egg-info"):
        shutil.rmtree(installed)
    environment.run("airflow", "db", "migrate")
    return environment


def test_the_wheel_brings_the_tables(installed):
    assert tables(installed) >= TABLES


def test_the_wheel_is_all_there_is_of_us(installed):
    where = installed.run("python", "-c", "import inbound_webhooks; print(inbound_webhooks.__file__)")
    assert where.startswith(str(installed.bin.parent))


def test_the_wheel_brings_the_command_line(printed):
    assert json.loads(printed["webhooks"]) == []


def test_the_wheel_brings_the_documentation_for_the_help_links(installed):
    assert installed.run("python", "-c", DOCUMENTATION_TITLE).strip() == "Pages"


def test_the_wheel_brings_the_settings(printed):
    assert "[inbound_webhooks]" in printed["config"]
    assert "# max_body_bytes = 2097152" in printed["config"]
    assert "AIRFLOW__INBOUND_WEBHOOKS__PUBLIC_URL" in printed["config"]


def test_airflow_lists_us_among_providers_and_plugins(printed):
    providers = {entry["package_name"] for entry in json.loads(printed["providers"])}
    assert "airflow-inbound-webhooks" in providers
    assert "inbound_webhooks" in {plugin["name"] for plugin in json.loads(printed["plugins"])}


def test_the_quick_start_leads_from_the_wheel_to_a_run_that_succeeds(installed):
    with installed.running("standalone") as url:
        _wait_for(lambda: "event_log" in installed.run("airflow", "dags", "list", "-o", "json"))
        installed.run("airflow", "webhooks", "create", "first", "--dag-id", "event_log")
        hook = installed.run("airflow", "webhooks", "url", "first").strip()
        assert hook.startswith(f"{url}/pluginsv2/webhook/")
        assert '"accepted"' in _curl("-X", "POST", hook, "-d", "hello=world")
        _wait_for(lambda: _states(installed) == ["succeeded"])


def _curl(*arguments: str) -> str:
    command = ("curl", "--silent", "--show-error", "--noproxy", "*", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _states(environment) -> list[str]:
    listed = json.loads(environment.run("airflow", "webhooks", "deliveries", "-o", "json"))
    return [one["state"] for one in listed]


def _wait_for(found: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + RUN_SECONDS
    while not found():
        assert time.monotonic() < give_up_at, "it does not come"


def test_a_copy_brings_the_tables(copied):
    assert tables(copied) >= TABLES


def test_a_copy_brings_the_documentation_for_the_help_links(copied):
    assert copied.run("python", "-c", DOCUMENTATION_TITLE).strip() == "Pages"


@pytest.fixture(params=["sqlite", "postgresql"])
def copied_on(request, copied, tmp_path):
    """The copy with a database of its own."""
    if request.param == "sqlite":
        return copied
    template = request.getfixturevalue("postgres_template")
    variables = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": template.for_airflow(tmp_path)}
    return replace(copied, variables=copied.variables | variables)


def test_a_copy_takes_a_request_for_a_webhook_that_its_own_command_made(copied_on):
    create = ("-m", "inbound_webhooks", "create", "hook", "--dag-id", "event_log", "-o", "json")
    webhook = json.loads(copied_on.run("python", *create))
    path = "/pluginsv2/webhook/" + webhook["url"].partition("/webhook/")[2]
    with copied_on.api_server() as url:
        response = requests.post(url + path, json={"a": 1}, timeout=60)
    assert (response.status_code, response.json()["status"]) == (202, "accepted")
    assert "Traceback" not in (copied_on.home / "api-server.log").read_text()
