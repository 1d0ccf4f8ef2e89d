"""Two commits measured in turn, as two folders whose benchmarks know their figures beforehand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import checkouts
from benchmarks.against import compare
from benchmarks.checkouts import Checkout

SCALE = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Scale:
    rounds: int = 7
    a_field_of_this_commit: int = 0

QUICK = Scale()
"""
SITE = """
from contextlib import contextmanager

@contextmanager
def built():
    yield "site"
"""
MAIN = """
from pathlib import Path
from types import SimpleNamespace

def measured(label, cell):
    def measure(site, scale):
        assert (site, scale.rounds) == ("site", 1)
        with Path("../turns").open("a") as file:
            file.write(Path.cwd().name + " ")
        if cell == "fails":
            raise RuntimeError("a part that fails")
        return [SimpleNamespace(measured=label, ours=cell)], []
    return measure

PARTS = {name: measured(name + " row", cell) for name, cell in __FIGURES__.items()}
"""


def made(folder: Path, **parts: str) -> Checkout:
    """A commit whose parts have these figures."""
    package = folder / "benchmarks"
    package.mkdir(parents=True)
    main = MAIN.replace("__FIGURES__", repr(parts))
    files = {"__init__": "", "quiet": "", "scale": SCALE, "site": SITE, "__main__": main}
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    return Checkout(folder.name, folder, Path(sys.executable))


def test_the_two_take_turns_and_the_one_that_begins_changes(tmp_path: Path):
    old, new = made(tmp_path / "old", posts="300"), made(tmp_path / "new", posts="300")
    assert compare(old, new, only="", rounds=3, logs=tmp_path) == 0
    assert (tmp_path / "turns").read_text().split() == ["old", "new", "new", "old", "old", "new"]


def test_a_slower_row_is_named_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old = made(tmp_path / "old", posts="300", pages="list: 10 ms")
    new = made(tmp_path / "new", posts="200", pages="list: 10 ms")
    assert compare(old, new, only="", rounds=3, logs=tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "Slower: posts row"


def test_only_the_chosen_parts_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old = made(tmp_path / "old", posts="300", pages="list: 10 ms")
    new = made(tmp_path / "new", posts="200", pages="list: 10 ms")
    assert compare(old, new, only="page", rounds=3, logs=tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "No row slower than old."


def test_a_part_of_one_commit_is_reported_and_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    old, new = made(tmp_path / "old", posts="300"), made(tmp_path / "new", posts="300", pages="9 ms")
    assert compare(old, new, only="", rounds=3, logs=tmp_path) == 0
    assert "Only in new: pages row" in capsys.readouterr().out.splitlines()


def test_a_part_that_fails_is_named_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old = made(tmp_path / "old", posts="300", pages="9 ms")
    new = made(tmp_path / "new", posts="300", pages="fails")
    assert compare(old, new, only="", rounds=3, logs=tmp_path) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-2:] == ["Failed in new: pages", "Not everything was measured."]
    assert "RuntimeError: a part that fails" in captured.err


def test_figures_that_no_commit_has_do_not_pass(tmp_path: Path):
    old, new = made(tmp_path / "old", posts="300"), made(tmp_path / "new", posts="300")
    assert compare(old, new, only="no such part", rounds=3, logs=tmp_path) == 1


def test_benchmarks_that_end_say_why_and_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old, new = made(tmp_path / "old", posts="300"), made(tmp_path / "new", posts="300")
    (new.folder / "benchmarks" / "site.py").write_text("raise SystemExit('no site to be had')")
    assert compare(old, new, only="", rounds=3, logs=tmp_path) == 1
    said = capsys.readouterr().out
    assert "The benchmarks of new ended with 1: no site to be had" in said
    assert said.splitlines()[-1] == "Not everything was measured."


def test_benchmarks_that_end_between_two_parts_leave_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    old, new = (
        made(tmp_path / "old", posts="300", pages="9 ms"),
        made(tmp_path / "new", posts="300", pages="9 ms"),
    )
    with (new.folder / "benchmarks" / "__main__.py").open("a") as file:
        file.write("\nimport os\nPARTS['pages'] = lambda site, scale: os._exit(9)\n")
    assert compare(old, new, only="", rounds=3, logs=tmp_path) == 1
    said = capsys.readouterr().out
    assert "| posts row | 300 (300–300) | 300 (300–300) | 1.00 | same |" in said
    assert "The benchmarks of new ended with 9:" in said


def test_a_revision_that_git_does_not_know_ends_the_command_with_2():
    command = [sys.executable, "-m", "benchmarks", "--against", "no-such-revision"]
    done = subprocess.run(
        command, cwd=checkouts.ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "Git knows no commit no-such-revision" in done.stderr
