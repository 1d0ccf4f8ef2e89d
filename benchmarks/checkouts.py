"""A checkout of another commit, with the environment that this commit makes for itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".bench"


@dataclass(frozen=True)
class Checkout:
    """A folder with a commit's files, and the Python that has its packages."""

    name: str
    folder: Path
    python: Path


class UnknownRevision(Exception):
    """Git knows no such commit."""


THIS = Checkout("tree", ROOT, Path(sys.executable))


def environment() -> dict[str, str]:
    """This process's environment without what leads to its own packages."""
    return {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}


def commit_of(revision: str) -> str:
    """The commit's full hash.

    :raises UnknownRevision: there is none
    """
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except subprocess.CalledProcessError as error:
        raise UnknownRevision(revision) from error


@contextmanager
def checked_out(commit: str, *, keep: bool, root: Path = ROOT) -> Iterator[Checkout]:
    """Make it below `.bench/`, or use the one that was kept there; remove it afterwards, or keep it."""
    folder = root / ".bench" / commit[:12]
    try:
        if not _is_intact(folder, root):
            shutil.rmtree(folder, ignore_errors=True)
            _git("worktree", "prune", root=root)
            _git("worktree", "add", "--detach", str(folder), commit, root=root)
        subprocess.run(["sh", "dev/install.sh", ".venv"], cwd=folder, env=environment(), check=True)
        yield Checkout(commit[:12], folder, folder / ".venv" / "bin" / "python")
    finally:
        if not keep:
            _git("worktree", "remove", "--force", str(folder), root=root)


def _is_intact(folder: Path, root: Path) -> bool:
    """Whether all files are as committed: a comparison that was killed may have left half of them."""
    listed = _git("worktree", "list", "--porcelain", root=root).splitlines()
    if f"worktree {folder}" not in listed or not (folder / ".git").exists():
        return False
    return not _git("status", "--porcelain", "--untracked-files=no", root=folder)


def _git(*arguments: str, root: Path = ROOT) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()
