"""The check of the tests themselves finds what cannot fail, and leaves alone what can."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dev.check_tests import main, unused_fixtures, vain_checks

FIXTURE = "@pytest.fixture{}\ndef server(): ..."


@pytest.mark.parametrize(
    "line",
    [
        "assert a == b if c else str(d)",
        "assert [a in page for a in names]",
        "assert {a: a in page for a in names}",
        "assert (a in page for a in names)",
        "assert (a, 'message')",
        "assert [1]",
        "assert 'text'",
        "assert f'{a}'",
        "assert lambda: a",
        "assert a == 1 or 2",
        "assert a.b == a.b",
        "assert a < b == a",
        "assert len(found) >= 0",
        "a == b",
        "(a in page for a in names)",
        "all(a in page for a in names)",
        "pytest.raises(ValueError)",
    ],
)
def test_a_check_that_cannot_fail_is_found(line):
    assert [number for number, _ in vain_checks(ast.parse(f"\n{line}"))] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "assert a == (b if c else str(d))",
        "assert all(a in page for a in names)",
        "assert [a for a in names] == names",
        "assert found",
        "assert ask() == ask()",
        "assert len(found) >= 1",
        "assert a == 1 or a == 2",
        "assert not (1, 2)",
        "with pytest.raises(ValueError): f()",
        "pytest.raises(ValueError, f)",
        "f(a == b)",
    ],
)
def test_a_check_that_can_fail_is_not_found(line):
    assert list(vain_checks(ast.parse(line))) == []


@pytest.mark.parametrize(
    ("fixture", "test", "lines"),
    [
        (FIXTURE.format(""), "def test_it(): ...", [2]),
        (FIXTURE.format("(scope='module')"), "def helper(server): ...", [2]),
        (FIXTURE.format(""), "def test_it(server): ...", []),
        (FIXTURE.format(""), "@pytest.fixture\ndef other(server): ...\ndef test_it(other): ...", []),
        (FIXTURE.format(""), "@pytest.mark.usefixtures('server')\ndef test_it(): ...", []),
        (FIXTURE.format("(autouse=True)"), "def test_it(): ...", []),
    ],
)
def test_a_fixture_that_nothing_asks_for_is_found(fixture, test, lines):
    trees = {Path("conftest.py"): ast.parse(fixture), Path("test_it.py"): ast.parse(test)}
    assert [line for _, (line, _) in unused_fixtures(trees)] == lines


def test_what_is_found_is_printed_and_fails(tmp_path, capsys):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text("def test_it():\n    assert (1, 2)\n")
    assert main(tmp_path) == 1
    assert capsys.readouterr().out == "tests/test_it.py:2: asserts a constant\n"
