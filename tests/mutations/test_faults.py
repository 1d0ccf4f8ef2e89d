"""Each seeded fault can still be made, and the tests that find it are still there; none of them runs here."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.infrastructure.environment import CHECKOUT
from tests.mutations.__main__ import CANNOT_BE_APPLIED, ERROR, FOUND, NOT_FOUND, check, judge
from tests.mutations.faults import CannotApply, Fault, choose, load_faults
from tests.mutations.mutated_checkout import TIMED_OUT, TestRun

FAULTS = load_faults()
LEAST_FAULTS = 40


@cache
def names_of(file: str) -> frozenset[str]:
    """The names of a module's tests, without importing it."""
    path = CHECKOUT / file
    if not path.is_file():
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = ast.parse(path.read_text()).body
    return frozenset(node.name for node in nodes if isinstance(node, functions))


A_FAULT = Fault(
    name="a fault",
    promise="a promise",
    file="module.py",
    find="x",
    replace="y",
    found_by=("tests/a.py::test_b",),
)


def test_every_fault_can_be_made() -> None:
    problems = [problem for seeded in FAULTS if (problem := problem_of(seeded))]

    assert not problems, "\n".join(problems)


def problem_of(seeded: Fault) -> str:
    """Why a fault cannot be made, or would be none; empty where it can."""
    path = CHECKOUT / seeded.file
    source = path.read_text() if path.is_file() else ""
    try:
        changed = seeded.apply_to(source)
    except CannotApply as error:
        return str(error)
    # Scripts and templates are compared as text.
    read = meaning_of if path.suffix == ".py" else str
    return f"{seeded.name}: the code does the same as before" if read(changed) == read(source) else ""


@cache
def meaning_of(source: str) -> str:
    """A module without its layout and comments; most faults share their module with others."""
    return ast.dump(ast.parse(source))


def test_the_tests_that_find_a_fault_exist() -> None:
    missing = [(seeded.name, test) for seeded in FAULTS for test in seeded.found_by if not is_there(test)]

    assert not missing
    assert all(seeded.found_by for seeded in FAULTS)


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    return name in names_of(file)


def test_there_are_many_faults_each_with_a_name_of_its_own() -> None:
    assert len({seeded.name for seeded in FAULTS}) == len(FAULTS) >= LEAST_FAULTS


@pytest.mark.parametrize("source", ["", "a = 1\n", "x = x\n"], ids=["empty", "missing", "twice"])
def test_a_snippet_that_is_not_there_once_is_an_error_that_names_the_fault(source: str) -> None:
    with pytest.raises(CannotApply, match="a fault"):
        A_FAULT.apply_to(source)


def test_a_file_that_has_moved_is_an_error_that_names_the_fault(tmp_path: Path) -> None:
    with pytest.raises(CannotApply, match=r"a fault: there is no file module\.py"):
        A_FAULT.apply_in(tmp_path)


def test_a_fault_that_cannot_be_made_runs_no_tests() -> None:
    verdict = check(replace(A_FAULT, file="setup.cfg", find="no such snippet"), ["no such test"])

    assert verdict.kind == CANNOT_BE_APPLIED


@pytest.mark.parametrize(
    ("status", "kind"), [(0, NOT_FOUND), (1, FOUND), (2, ERROR), (4, ERROR), (5, ERROR), (TIMED_OUT, ERROR)]
)
def test_only_a_failed_test_counts_as_found(status: int, kind: str) -> None:
    assert judge(TestRun(status, "")).kind == kind


def test_a_failed_test_is_named_without_its_parameters() -> None:
    output = "FAILED tests/a/test_b.py::test_c[1 2] - assert 1 == 2\nERROR tests/a/test_b.py::test_d - x\n"

    assert TestRun(1, output).failed == ["tests/a/test_b.py::test_c", "tests/a/test_b.py::test_d"]


def test_faults_are_chosen_by_a_part_of_their_names() -> None:
    faults = [replace(A_FAULT, name=name) for name in ("A grace is ignored", "Mails are sent twice")]

    assert choose(faults, ["GRACE"]) == faults[:1]
    assert choose(faults, []) == faults
