"""SECURITY.md names a test for each promise, and each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.pages import page, section, tables

PAGE = (CHECKOUT / "SECURITY.md").read_text()
NAMED = re.findall(r"(tests/[a-z0-9_/]+\.py)::(\w+)", PAGE)
PROMISES = [row.strip("| ").split(" | ") for row in PAGE.rpartition("|---|---|\n")[2].splitlines()]


def names_of(path: Path) -> set[str]:
    """The names of a module's tests, without importing it."""
    return {
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_each_test_that_the_page_names_exists(file):
    assert {name for named, name in NAMED if named == file} <= names_of(CHECKOUT / file)


def test_each_promise_names_its_tests():
    assert len(PROMISES) >= 20
    for promise, tests in PROMISES:
        listed = tests.split("<br>")
        assert all(re.fullmatch(r"`tests/[a-z0-9_/]+\.py::test_\w+`", test) for test in listed), promise


def test_no_promise_stands_there_twice():
    assert len({promise for promise, _ in PROMISES}) == len(PROMISES)


# --- tiers ----------------------------------------------------------------------------------

TIERS = tables(section(page("CONTRIBUTING.md"), "Promises"))[0]


def is_long(file: str, test: str) -> bool:
    """Whether a test, or its module, is left out of `make test` whatever its parameters are."""
    body = ast.parse((CHECKOUT / file).read_text()).body
    marks = [ast.unparse(node.value) for node in body if isinstance(node, ast.Assign)]
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == test:
            marks += map(ast.unparse, node.decorator_list)
    return "pytest.mark.long" in marks


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)))
def test_each_promise_is_kept_in_the_short_tier(file, test):
    assert not is_long(file, test)


def test_the_table_of_tiers_names_the_modules_of_all_promises_in_their_order():
    of_promises = [{file for file, _ in NAMED if f"{file}::" in tests} for _, tests in PROMISES]
    of_tiers = [{f"tests/{file}" for file in re.findall(r"`([\w/]+\.py)`", row[1])} for row in TIERS]
    assert of_tiers == of_promises
