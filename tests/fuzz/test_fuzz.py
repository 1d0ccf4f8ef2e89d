"""A quick round finds nothing, and a faulty input of each sort is found, reduced and reported."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache

import pytest

from tests.fuzz.faulty_kinds import TARGETS
from tests.infrastructure.environment import CHECKOUT

KINDS = ("templates", "schemas", "bodies", "definition files", "REST bodies")

SMALLEST = 101
"""The smallest input that the faulty kinds take badly."""

OTHERWISE = ("sleep", "swallow")
"""The faulty kinds with limits of their own."""


@cache
def reports() -> dict[str, str]:
    """The finding of each faulty kind, and its tally where there is none; "status" is that of the command."""
    others = [option for kind in TARGETS if kind not in OTHERWISE for option in ("--only", kind)]
    done = run("tests.fuzz.faulty_kinds", "--quick", "--cpu-seconds", "0.2", *others)
    asleep = run("tests.fuzz.faulty_kinds", "--quick", "--clock-seconds", "0.5", "--only", "sleep")
    # A busy machine takes more time for the memory than the other kinds have.
    swallowed = run("tests.fuzz.faulty_kinds", "--quick", "--cpu-seconds", "2", "--only", "swallow")
    shown = done.stdout + asleep.stdout + swallowed.stdout
    found = re.findall(r"^FOUND in (\w+), (.*?\n  input: .*?\n)", shown, re.MULTILINE | re.DOTALL)
    quiet = re.findall(r"^(keep_quiet): (.*)", shown, re.MULTILINE)
    return {**dict(found), **dict(quiet), "status": str(done.returncode)}


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: it forks, which needs a process without threads."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("burn", r"it took more than 0\.2 s of processor time"),
        ("swallow", r"it took \d+ MB of memory"),
        ("fail", r"it raised an unforeseen error:(?s:.*)ValueError: unforeseen"),
        ("crash", r"it ended the process with SIGSEGV"),
        ("sleep", r"it did not end within 0\.5 s"),
    ],
)
def test_a_faulty_input_is_reported_with_its_seed_and_reduced(kind, problem):
    assert re.search(rf"SEED=0: {problem}", reports()[kind])
    assert f"input: {SMALLEST}\n" in reports()[kind]


@pytest.mark.long
def test_findings_make_the_command_fail_and_name_nothing_that_is_well():
    assert reports()["status"] == "1"
    assert reports()["keep_quiet"].startswith("25 inputs, at most 0.0")


def test_a_seed_gives_the_same_inputs_again():
    arguments = ("--seconds", "0", "--seed", "7", "--only", "fail")
    first, second = (run("tests.fuzz.faulty_kinds", *arguments).stdout for _ in range(2))

    assert re.findall("^fail: .* inputs", first) == re.findall("^fail: .* inputs", second)
    assert first.count("SEED=7") == 2


@cache
def quick_round() -> subprocess.CompletedProcess[str]:
    """One round of each kind, the same inputs each time."""
    return run("tests.fuzz", "--quick")


@pytest.mark.parametrize("kind", KINDS)
def test_a_quick_round_finds_nothing(kind):
    shown = quick_round().stdout + quick_round().stderr

    assert re.search(rf"^{kind}: \d+ inputs", shown, re.MULTILINE), shown
    assert f"FOUND in {kind}" not in shown, shown
