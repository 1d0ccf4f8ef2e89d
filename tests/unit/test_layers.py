"""Dependencies point one way; what is pure imports no framework and no operating system."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "inbound_webhooks"
ROOT = Path(__file__).parents[2] / "plugins" / PACKAGE

LAYERS = (
    {"errors"},
    {"event"},
    {"presets"},
    {"records"},
    {"settings", "urls", "monitoring"},
    {"storage", "operators"},
    {"airflow_bridge"},
    {"webhooks"},
    {"deliveries"},
    {"receiver"},
    {"notifications"},
    {"dispatch"},
    {"files"},
    {"web"},
    {"rest"},
    {"cli"},
    {"plugin", "provider", "__main__"},
)
"""From left to right: a module imports from layers to its left, or from its own layer."""

ALONE = {"operators": {"errors", "event", "settings", "urls"}}
"""What DAG files import: nothing that opens a database may come with it."""

PURE = {"errors", "event", "presets", "records"}
IMPURE = {"airflow", "flask", "fastapi", "sqlalchemy", "os"}

DOCUMENTED = (
    "airflow.__version__",
    "airflow.configuration",
    "airflow.exceptions",
    "airflow.plugins_manager.AirflowPlugin",
    "airflow.utils.db_manager.BaseDBManager",
    "airflow.cli.cli_config",
    "airflow.api_fastapi.app.get_auth_manager",
    "airflow.api_fastapi.auth.managers",
    "airflow.models.Connection",
    "airflow.models.Variable",
    "airflow.providers.smtp.hooks.smtp.SmtpHook",
    # For operators, decorators and triggers of one's own.
    "airflow.sdk.BaseOperator",
    "airflow.sdk.Context",
    "airflow.sdk.bases.decorator",
    "airflow.sdk.bases.xcom.BaseXCom",
    "airflow.sdk.log.mask_secret",
    "airflow.triggers.base",
)
"""What Airflow documents for plugins, providers, auth managers and operators."""

UNDOCUMENTED = {
    # Metrics start before anything that could stand to the right of them.
    "monitoring.metrics": ("airflow.observability",),
    # Our tables are in Airflow's database and read together with its own.
    "storage.tables": ("airflow.utils.sqlalchemy.UtcDateTime",),
    "storage.encryption": ("airflow.models.crypto.get_fernet",),
    "storage.database": ("airflow.settings",),
    "storage.migrations.env": ("airflow.settings",),
    "storage.connect_arguments": ("airflow.settings",),
    "storage.async_connections": ("airflow.settings",),
    "storage.audit_log": ("airflow.models.log.Log",),
    "storage.activity": ("airflow.models.taskinstance.TaskInstance",),
    "storage.drifts": ("airflow.models.dag_version", "airflow.models.serialized_dag"),
    "storage.listing": ("airflow.models.dag.DagModel", "airflow.models.dagrun.DagRun"),
    "deliveries.store.factory": ("airflow.settings",),
    "web.base_view": ("airflow.settings",),
    # A worker has no use for the bridge, whose modules need a database.
    "operators.errors": ("airflow.sdk.exceptions",),
    "operators.wait_for_webhook": ("airflow.sdk.exceptions",),
}
"""What modules outside of ``airflow_bridge`` take from undocumented parts of Airflow all the same."""

MODULES = sorted(path for path in ROOT.rglob("*.py") if "migrations/versions" not in path.as_posix())


def name_of(path: Path) -> str:
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module: str) -> str:
    """``inbound_webhooks.event.values`` -> ``event``; "" for the package itself."""
    return module.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


def imported(tree: ast.AST, module: str, *, is_package: bool = False) -> set[str]:
    """Every module that a module imports, inside functions and under TYPE_CHECKING too."""
    package = module if is_package else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
            base = node.module or "" if node.level == 0 else f"{above}.{node.module or ''}".rstrip(".")
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def wrong_imports(tree: ast.AST, module: str, *, is_package: bool = False) -> set[str]:
    """What a module imports and must not."""
    unit = unit_of(module)
    place = next(index for index, units in enumerate(LAYERS) if unit in units)
    to_its_left = set().union(*LAYERS[: place + 1]) - ALONE.keys()
    allowed = {"", "__version__", unit} | ALONE.get(unit, to_its_left)
    wrong = set()
    for name in imported(tree, module, is_package=is_package):
        if name.partition(".")[0] == PACKAGE and unit_of(name) not in allowed:
            wrong.add(name)
        if unit in PURE and name.partition(".")[0] in IMPURE:
            wrong.add(name)
    return wrong


def wrong_airflow(tree: ast.AST, module: str) -> set[str]:
    """What a module takes from Airflow and must not."""
    if unit_of(module) == "airflow_bridge":
        return set()
    allowed = (*DOCUMENTED, *UNDOCUMENTED.get(module.removeprefix(f"{PACKAGE}."), ()))
    return {
        name
        for name in imported(tree, module)
        if name.partition(".")[0] == "airflow"
        and not any(name == each or name.startswith(f"{each}.") for each in allowed)
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_undocumented_parts_of_airflow_are_used_in_one_package(path):
    assert wrong_airflow(ast.parse(path.read_text()), name_of(path)) == set()


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        ("web.forms", "from airflow.models.dag import DagModel", {"airflow.models.dag.DagModel"}),
        ("web.forms", "import airflow.jobs", {"airflow.jobs"}),
        ("web.forms", "from airflow.configuration import conf", set()),
        (
            "storage.listing",
            "def f():\n    from airflow.models.xcom import XCom",
            {"airflow.models.xcom.XCom"},
        ),
        ("storage.listing", "from airflow.models.dag import DagModel", set()),
        ("airflow_bridge.teams", "from airflow.models.team import x", set()),
    ],
)
def test_this_check_sees_undocumented_parts(module, line, wrong):
    assert wrong_airflow(ast.parse(line), f"{PACKAGE}.{module}") == wrong


def test_no_exception_is_out_of_use():
    used = {name_of(path): imported(ast.parse(path.read_text()), name_of(path)) for path in MODULES}
    for module, names in UNDOCUMENTED.items():
        for name in names:
            assert any(each.startswith(name) for each in used[f"{PACKAGE}.{module}"]), (module, name)


def imports_of_each() -> dict[str, set[str]]:
    """Our modules -> those of them that are imported when it is, not inside of a function."""
    names = {name_of(path) for path in MODULES}
    found = {}
    for path in MODULES:
        module, tree = name_of(path), ast.parse(path.read_text())
        for node in list(ast.walk(tree)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = []
        imports = imported(tree, module, is_package=path.name == "__init__.py")
        found[module] = {one if one in names else one.rpartition(".")[0] for one in imports} & names
    return found


def test_no_module_imports_itself_by_way_of_others():
    tuple(TopologicalSorter(imports_of_each()).static_order())


def test_this_check_sees_a_cycle():
    together = imports_of_each()
    together[f"{PACKAGE}.deliveries.store.backend"].add(f"{PACKAGE}.deliveries.store.postgres")
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(together).static_order())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_layers_to_its_left(path):
    module = name_of(path)
    tree = ast.parse(path.read_text())
    if module == PACKAGE:
        assert imported(tree, module, is_package=True) <= {"__future__.annotations"}
    else:
        assert wrong_imports(tree, module, is_package=path.name == "__init__.py") == set()


def test_every_module_has_a_layer():
    units = {unit_of(name_of(path)) for path in MODULES} - {""}
    assert units <= set().union(*LAYERS)
    assert len(MODULES) > 20


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        ("event.values", "from inbound_webhooks.storage import tables", {"inbound_webhooks.storage.tables"}),
        ("event.values", "from inbound_webhooks import storage", {"inbound_webhooks.storage"}),
        ("event.values", "from ..storage import tables", {"inbound_webhooks.storage.tables"}),
        ("event.values", "from .. import storage", {"inbound_webhooks.storage"}),
        ("event.values", "import inbound_webhooks.settings", {"inbound_webhooks.settings"}),
        ("event.values", "def f():\n    import os.path", {"os.path"}),
        ("event.values", "def f():\n    from sqlalchemy.engine import x", {"sqlalchemy.engine.x"}),
        ("event.values", "if TYPE_CHECKING:\n    from airflow.models import x", {"airflow.models.x"}),
        ("event.values", "from . import request\nfrom inbound_webhooks.errors import x", set()),
        ("event.values", "import osmosis, re", set()),
        ("errors", "import fastapi", {"fastapi"}),
        ("presets.github", "from inbound_webhooks.event import x", set()),
        ("presets.github", "import flask", {"flask"}),
        ("receiver.limits", "from inbound_webhooks.dispatch import x", {"inbound_webhooks.dispatch.x"}),
        ("dispatch.retry", "from inbound_webhooks.receiver import x", set()),
        ("receiver.limits", "from inbound_webhooks.files import x", {"inbound_webhooks.files.x"}),
        ("storage.tables", "import os, sqlalchemy\nfrom inbound_webhooks.event import x", set()),
        ("cli.webhooks", "from inbound_webhooks import __version__, webhooks", set()),
        ("web.forms", "from inbound_webhooks.rest.app import app", {"inbound_webhooks.rest.app.app"}),
        ("plugin", "from inbound_webhooks.rest.app import app", set()),
        ("operators.x", "from inbound_webhooks.records import wait", {"inbound_webhooks.records.wait"}),
        ("operators.x", "from inbound_webhooks import settings, urls, errors, event", set()),
        ("rest.app", "from inbound_webhooks import operators", {"inbound_webhooks.operators"}),
    ],
)
def test_this_check_sees_wrong_imports(module, line, wrong):
    assert wrong_imports(ast.parse(line), f"{PACKAGE}.{module}") == wrong
