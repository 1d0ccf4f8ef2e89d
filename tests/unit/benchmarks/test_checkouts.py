"""The other commit's checkout: its own files and installer, kept or removed, remade when it is broken."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.checkouts import checked_out

INSTALLER = "mkdir -p $1/bin && pwd >>installed && touch $1/bin/python\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose first commit says 1 and whose second one says 2."""
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/install.sh").write_text(INSTALLER)
    for number in ("1", "2"):
        (tmp_path / "number").write_text(number)
        _git(tmp_path, "add", "--all")
        author = ("-c", "user.name=a tester", "-c", "user.email=tester@example.com")
        _git(tmp_path, *author, "commit", "--quiet", "--no-verify", "--message", number)
    return tmp_path


@pytest.fixture
def first(root: Path) -> str:
    return _git(root, "rev-parse", "HEAD~1")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def test_it_has_the_commits_files_and_what_its_installer_makes(root: Path, first: str):
    with checked_out(first, keep=False, root=root) as checkout:
        assert (checkout.folder / "number").read_text() == "1"
        assert checkout.python.is_relative_to(checkout.folder)
        assert checkout.python.exists()
    assert (root / "number").read_text() == "2"


def test_it_is_removed_after_a_failure_too(root: Path, first: str):
    with pytest.raises(ZeroDivisionError), checked_out(first, keep=False, root=root) as checkout:
        raise ZeroDivisionError
    assert not checkout.folder.exists()
    assert "detached" not in _git(root, "worktree", "list", "--porcelain")


def test_one_that_was_kept_is_used_again(root: Path, first: str):
    for _ in range(2):
        with checked_out(first, keep=True, root=root) as checkout:
            pass
    assert (checkout.folder / "installed").read_text().splitlines() == [str(checkout.folder)] * 2


@pytest.mark.parametrize("missing", ["number", ".git"])
def test_one_that_was_left_half_removed_is_made_again(root: Path, first: str, missing: str):
    with checked_out(first, keep=True, root=root) as checkout:
        (checkout.folder / missing).unlink()
    with checked_out(first, keep=False, root=root) as checkout:
        assert (checkout.folder / "number").read_text() == "1"
        assert (checkout.folder / "installed").read_text().splitlines() == [str(checkout.folder)]
