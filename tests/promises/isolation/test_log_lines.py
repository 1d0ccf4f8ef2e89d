"""A value from outside never begins a line of its own in a log, wherever it is logged."""

from __future__ import annotations

import ast
import importlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from inbound_webhooks.monitoring.log_lines import SourceLines, get_logger, one_line
from tests.infrastructure.webhooks_builder import store_delivery, store_webhook

FORGED = "ERROR forged action=dispatched"
HOSTILE = f"orders\n{FORGED}\r\x1b[31m\u2028\x85\u202e{FORGED}"
PACKAGE = Path(__file__).parents[3] / "plugins/inbound_webhooks"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a handler writes of this package's records, at every level."""
    written, logger = io.StringIO(), logging.getLogger("inbound_webhooks")
    handler, before = logging.StreamHandler(written), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(before)


def forged_in(written: io.StringIO) -> list[str]:
    """The lines that begin with what is not ours, and control characters among all of them."""
    text = written.getvalue()
    assert text
    found = [line for line in text.splitlines() if line.startswith(FORGED)]
    return found + [character for character in text if character in "\r\x1b\u2028\x85\u202e"]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain text", "plain text"),
        ("Zürich 日本", "Zürich 日本"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("C:\\n", "C:\\\\n"),
        ("\x1b[2K\x07\x00", "\\x1b[2K\\x07\\x00"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\u202e\u200b", "\\u202e\\u200b"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_text_stays_on_one_line_and_differs_from_every_other(text, written):
    assert one_line(text) == written


def test_objects_and_errors_are_written_on_one_line_too_and_numbers_stay_numbers(lines):
    get_logger("inbound_webhooks.test").warning("%s %r %d", ValueError(HOSTILE), Path(HOSTILE), 7)
    assert (forged_in(lines), lines.getvalue().count("\n")) == ([], 1)
    assert lines.getvalue().endswith(" 7\n")


def test_lines_of_our_own_source_stay_lines(lines):
    get_logger("inbound_webhooks.test").warning("at\n%s", SourceLines("a\nb"))
    assert lines.getvalue() == "at\na\nb\n"


def test_no_module_has_a_logger_of_another_kind():
    """The tests above cover every call, later ones too."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.name == "log_lines.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Import) and any(one.name == "logging" for one in node.names)
            if named or (isinstance(node, ast.ImportFrom) and node.module == "logging"):
                found.append(path.name)
    assert found == []


def test_no_message_is_put_together_before_it_is_logged():
    """A value inside of the message itself is not seen as a value any more."""
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    calls = [
        (path.name, node.lineno, node.args[0])
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in levels
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
    ]
    assert len(calls) > 15
    assert [call[:2] for call in calls if not isinstance(call[2], ast.Constant)] == []


def test_a_hostile_dag_id_forges_no_line_of_the_dispatcher(sqlite_database, lines):
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    hook = store_webhook("one", dag_id=HOSTILE)
    store_delivery(hook, dag_id=HOSTILE, state="accepted")
    assert Dispatcher(Settings()).dispatch_due() == 1
    assert "action=retry" in lines.getvalue()
    assert forged_in(lines) == []


def test_a_hostile_value_forges_no_line_of_any_module(lines):
    names = [
        ".".join(("inbound_webhooks", *path.relative_to(PACKAGE).with_suffix("").parts))
        for path in PACKAGE.rglob("*.py")
        if "\nlog = " in path.read_text()
    ]
    assert len(names) > 15
    for name in names:
        importlib.import_module(name).log.warning("action=test value=%s", HOSTILE)
    assert lines.getvalue().count("\n") == len(names)
    assert forged_in(lines) == []


def test_a_hostile_kind_of_error_forges_no_line(lines):
    from inbound_webhooks.monitoring.loop import log_unexpected_error

    error = type(HOSTILE, (Exception,), {})(HOSTILE)
    log_unexpected_error(HOSTILE, error)
    assert forged_in(lines) == []
