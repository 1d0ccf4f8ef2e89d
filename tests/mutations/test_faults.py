"""Each seeded fault can still be made, and the tests that find it are still there; none of them runs here."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.infrastructure.environment import CHECKOUT
from tests.mutations.__main__ import CANNOT_BE_APPLIED, ERROR, FOUND, NOT_FOUND, check, judge
from tests.mutations.mutated_checkout import TIMED_OUT, TestRun
from tests.mutations.problems import CannotApply, FileProblem, choose, load_problems

FAULTS = load_problems()
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


def problem(**changes: object) -> FileProblem:
    values = {"name": "a fault", "promise": "a promise", "file": "module.py", "find": "x", "replace": "y"}
    return FileProblem(**{**values, "found_by": (), **changes})


@pytest.mark.parametrize("seeded", FAULTS, ids=lambda seeded: seeded.name)
def test_a_problem_can_be_made_and_changes_code_that_still_compiles(seeded: FileProblem) -> None:
    source = (CHECKOUT / seeded.file).read_text()

    changed = seeded.apply_to(source)

    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("seeded", FAULTS, ids=lambda seeded: seeded.name)
def test_the_tests_that_find_a_problem_exist(seeded: FileProblem) -> None:
    missing = [
        test for test in seeded.found_by if test.partition("::")[2] not in names_of(test.partition("::")[0])
    ]

    assert seeded.found_by, "no test finds it"
    assert not missing


def test_there_are_many_problems_each_with_a_name_of_its_own() -> None:
    assert len({seeded.name for seeded in FAULTS}) == len(FAULTS) >= LEAST_FAULTS


@pytest.mark.parametrize("source", ["", "a = 1\n", "x = x\n"], ids=["empty", "missing", "twice"])
def test_a_snippet_that_is_not_there_once_is_an_error_that_names_the_problem(source: str) -> None:
    with pytest.raises(CannotApply, match="a fault"):
        problem().apply_to(source)


def test_a_file_that_has_moved_is_an_error_that_names_the_problem(tmp_path: Path) -> None:
    with pytest.raises(CannotApply, match=r"a fault: there is no file module\.py"):
        problem().apply_in(tmp_path)


def test_a_problem_that_cannot_be_made_runs_no_tests() -> None:
    verdict = check(problem(file="setup.cfg", find="no such snippet"), ["no such test"])

    assert verdict.kind == CANNOT_BE_APPLIED


@pytest.mark.parametrize(
    ("status", "kind"), [(0, NOT_FOUND), (1, FOUND), (2, ERROR), (4, ERROR), (5, ERROR), (TIMED_OUT, FOUND)]
)
def test_only_a_failed_test_or_no_end_counts_as_found(status: int, kind: str) -> None:
    assert judge(TestRun(status, "")).kind == kind


def test_a_failed_test_is_named_without_its_parameters() -> None:
    output = "FAILED tests/a/test_b.py::test_c[1 2] - assert 1 == 2\nERROR tests/a/test_b.py::test_d - x\n"

    assert TestRun(1, output).failed == ["tests/a/test_b.py::test_c", "tests/a/test_b.py::test_d"]


def test_problems_are_chosen_by_a_part_of_their_names() -> None:
    problems = [problem(name="A grace is ignored"), problem(name="Mails are sent twice")]

    assert choose(problems, ["GRACE"]) == problems[:1]
    assert choose(problems, []) == problems
