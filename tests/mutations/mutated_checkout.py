"""A temporary copy of the checkout, and pytest inside it; the checkout itself is never changed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.infrastructure.environment import CHECKOUT

TESTS_FAILED = 1
"""The exit status of pytest when tests ran and some failed."""

TIMED_OUT = -1

STOP_SECONDS = 60
"""How long pytest may take to stop the servers that its fixtures started."""

_PROBE = "import importlib.util; print(importlib.util.find_spec('inbound_webhooks').origin)"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?::[^\s\[]+)", re.MULTILINE)


class WrongPackage(Exception):
    """Tests in the copy would import the product from elsewhere."""


@dataclass(frozen=True)
class TestRun:
    """What came of one call of pytest; ``failed`` are the ids of failed tests, without parameters."""

    __test__ = False

    status: int
    output: str

    @property
    def failed(self) -> list[str]:
        return list(dict.fromkeys(_FAILED.findall(self.output)))


@contextmanager
def copied_checkout() -> Iterator[Path]:
    """A folder with what git tracks here, or would track; it is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mutated-checkout-"))
    try:
        for name in _tracked_files():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target, follow_symlinks=False)
        # Some tests ask git for the files of the checkout.
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
        _check_import(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_pytest(checkout: Path, arguments: Sequence[str], *, timeout_seconds: float) -> TestRun:
    """Run pytest in a copy, with the packages of this environment but the copy's product."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", *arguments]
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env=_environment(checkout),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        return TestRun(TIMED_OUT, _stop(process))
    except BaseException:
        _stop(process)
        raise
    return TestRun(process.returncode, output)


def _tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = filter(None, listed.stdout.split("\0"))
    return [name for name in names if (CHECKOUT / name).is_file() or (CHECKOUT / name).is_symlink()]


def _environment(checkout: Path) -> Mapping[str, str]:
    # The editable install in the environment leads to the checkout; PYTHONPATH comes before it.
    return os.environ | {"PYTHONPATH": str(checkout / "plugins")}


def _check_import(checkout: Path) -> None:
    """Make sure that tests in the copy test the copy.

    :raises WrongPackage: `inbound_webhooks` would be imported from elsewhere
    """
    done = subprocess.run(
        [sys.executable, "-c", _PROBE],
        cwd=checkout,
        env=_environment(checkout),
        check=True,
        capture_output=True,
        text=True,
    )
    origin = Path(done.stdout.strip())
    if not origin.is_relative_to(checkout / "plugins"):
        raise WrongPackage(f"inbound_webhooks would be imported from {origin}, not from the copy")


def _stop(process: subprocess.Popen[str]) -> str:
    """Ask pytest to stop, as Ctrl-C does, and kill its process group if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.communicate(timeout=STOP_SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]
