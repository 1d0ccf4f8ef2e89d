"""What pip-installed Airflow learns of us, and what loading us costs each of its processes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

LOADED = """
import sys, threading, json
import airflow.plugins_manager, airflow.settings, airflow.configuration, airflow.cli.cli_config
from inbound_webhooks import __version__
before = set(sys.modules)
opened = []
interesting = ("open", "socket.", "subprocess.", "os.listdir", "sqlite3.")

def hook(event, args):
    if event == "os.listdir" and "inbound_webhooks" in str(args[0]):
        return  # Python looks for our modules in our own folders.
    if event.startswith(interesting) and not str(args[0]).endswith((".py", ".pyc")):
        opened.append([event, str(args[0])])

sys.addaudithook(hook)
{action}
print(json.dumps({{
    "modules": sorted(set(sys.modules) - before),
    "opened": opened,
    "threads": threading.active_count(),
}}))
"""
IMPORT_PLUGIN = "import inbound_webhooks.plugin"
ASK_PROVIDER = "import inbound_webhooks.provider; inbound_webhooks.provider.get_provider_info()"
ASK_COMMANDS = "import inbound_webhooks.cli.parser; inbound_webhooks.cli.parser.get_cli_commands()"
HEAVY = (
    "flask",
    "fastapi",
    "starlette",
    "sqlalchemy",
    "jinja2",
    "jsonschema",
    "alembic",
    "pendulum",
    "anyio",
)
OURS_THAT_ARE_CHEAP = {"plugin", "provider", "settings", "errors", "records", "cli"}


@pytest.fixture(scope="module", params=[IMPORT_PLUGIN, ASK_PROVIDER, ASK_COMMANDS], ids=str.split)
def loaded(request: pytest.FixtureRequest) -> dict:
    """What a fresh interpreter did when it loaded us."""
    code = LOADED.format(action=request.param)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_loading_us_imports_nothing_heavy(loaded):
    assert [name for name in loaded["modules"] if name.split(".")[0] in HEAVY] == []


def test_loading_us_imports_only_our_cheap_modules(loaded):
    ours = {name.split(".")[1] for name in loaded["modules"] if name.startswith("inbound_webhooks.")}
    assert ours <= OURS_THAT_ARE_CHEAP


def test_loading_us_opens_no_file_and_no_socket_and_starts_no_thread(loaded):
    assert (loaded["opened"], loaded["threads"]) == ([], 1)


@pytest.fixture(scope="module")
def info() -> dict:
    from inbound_webhooks.provider import get_provider_info

    return get_provider_info()


def test_the_provider_info_is_valid(info):
    import airflow
    import jsonschema

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)


def test_what_the_provider_info_names_is_there(info):
    from importlib import import_module

    for path in [*info["db-managers"], *info["cli"]]:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)


def test_every_setting_is_described_with_its_default(info):
    from dataclasses import fields

    from inbound_webhooks.settings import Settings

    described = info["config"]["inbound_webhooks"]["options"]
    assert set(described) == {option.name for option in fields(Settings)}
    assert {name: option["default"] for name, option in described.items()} == {
        option.name: str(option.default) for option in fields(Settings)
    }
    assert all(option["description"].endswith((".", "408.")) for option in described.values())


def test_airflow_finds_the_provider_and_the_plugin():
    groups = {"apache_airflow_provider": "provider_info", "airflow.plugins": "inbound_webhooks"}
    for group, name in groups.items():
        found = {point.value.split(".")[0] for point in entry_points(group=group) if point.name == name}
        assert "inbound_webhooks" in found


def test_the_package_and_the_provider_have_one_version(info):
    from importlib.metadata import version

    from inbound_webhooks import __version__

    assert info["versions"] == [__version__] == [version("airflow-inbound-webhooks")]
