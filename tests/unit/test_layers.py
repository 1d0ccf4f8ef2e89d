"""Dependencies point one way; what is pure imports no framework and no operating system."""

from __future__ import annotations

import ast
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
    {"storage"},
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

PURE = {"errors", "event", "presets", "records"}
IMPURE = {"airflow", "flask", "fastapi", "sqlalchemy", "os"}

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
    allowed = {"", "__version__"}.union(*LAYERS[: place + 1])
    wrong = set()
    for name in imported(tree, module, is_package=is_package):
        if name.partition(".")[0] == PACKAGE and unit_of(name) not in allowed:
            wrong.add(name)
        if unit in PURE and name.partition(".")[0] in IMPURE:
            wrong.add(name)
    return wrong


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
    ],
)
def test_this_check_sees_wrong_imports(module, line, wrong):
    assert wrong_imports(ast.parse(line), f"{PACKAGE}.{module}") == wrong
