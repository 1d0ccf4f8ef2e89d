"""Runs the core of the tests on each Airflow version, auth manager and database, and prints a table."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / ".matrix"
LOCKS = {"3.2": "dev/constraints-3.2.txt", "3.3": "constraints.txt"}
AUTH_MANAGERS = ("simple", "fab")
DATABASES = ("sqlite", "postgresql")
WORKERS = "2"

# Tests that depend on the auth manager: pages, REST API, and stories with a whole Airflow by command line, by
# REST and in a browser.
AUTH_MANAGER_TESTS = (
    "tests/integration/web",
    "tests/integration/rest",
    "tests/acceptance/test_examples.py",
    "tests/acceptance/test_rest.py::test_a_program_gets_from_nothing_to_a_run_and_replays_it",
    "tests/acceptance/test_browser.py::test_a_new_user_gets_from_the_login_to_a_run_and_replays_it",
)
# Tests that depend on Airflow but not on its auth manager; they run once for each database.
# `event` and `presets` are missing because they import nothing of Airflow (tests/unit/test_layers.py).
AIRFLOW_TESTS = (
    "tests/integration/connections",
    "tests/integration/storage",
    "tests/integration/receiver",
    "tests/integration/dispatch",
    "tests/integration/files",
    "tests/promises",
    "tests/integration/test_cli.py",
    "tests/integration/test_command_output.py",
    "tests/integration/test_definitions.py",
    "tests/integration/test_health.py",
    "tests/integration/test_metrics.py",
    "tests/unit/test_plugin.py",
    "tests/unit/test_provider.py",
    "tests/integration/test_readiness.py",
    "tests/integration/test_sender_commands.py",
    "tests/integration/test_preset_settings.py",
    "tests/unit/test_settings.py",
    "tests/integration/test_webhook_names.py",
    "tests/acceptance/chaos/test_waiting_workers.py",
    "tests/acceptance/test_all_admins.py",
    "tests/acceptance/test_deployments.py",
    "tests/acceptance/test_proxies.py",
)


@dataclass(frozen=True)
class Cell:
    """One combination of the matrix."""

    version: str
    auth: str
    database: str

    @property
    def log(self) -> Path:
        """The file with pytest's output."""
        return FOLDER / f"{self.version}-{self.auth}-{self.database}.log"

    @property
    def paths(self) -> tuple[str, ...]:
        """All tests under the first auth manager; under the others, only those that depend on it."""
        return AUTH_MANAGER_TESTS + (AIRFLOW_TESTS if self.auth == AUTH_MANAGERS[0] else ())


@dataclass(frozen=True)
class Outcome:
    """The result of a cell; ``last_line`` is pytest's last line."""

    cell: Cell
    status: int
    seconds: float
    last_line: str

    @property
    def counts(self) -> str:
        """Such as ``812 passed, 3 failed``."""
        found = re.findall(r"\d+ (?:passed|failed|errors?|skipped)", self.last_line)
        return ", ".join(found) or self.last_line

    def __str__(self) -> str:
        cell, word = self.cell, "passed" if self.status == 0 else "FAILED"
        named = f"{cell.version:<8} {cell.auth:<7} {cell.database:<11}"
        return f"{named} {word:<7} {self.seconds:>6.0f} s  {self.counts}"


def main(wanted: list[str]) -> int:
    """Run the cells that match all words, such as ``3.2 fab``; returns 0 if all passed."""
    cells = [cell for cell in _cells() if set(wanted) <= {cell.version, cell.auth, cell.database}]
    if not cells:
        print(f"no cell matches {' '.join(wanted)}: see {__file__}", file=sys.stderr)
        return 2
    for version in dict.fromkeys(cell.version for cell in cells):
        subprocess.run(["sh", "dev/install.sh", _venv(version), LOCKS[version]], cwd=CHECKOUT, check=True)
    outcomes = [_run(cell) for cell in cells]
    print("\nAirflow  auth    database    result   time  tests", *outcomes, sep="\n")
    return int(any(outcome.status for outcome in outcomes))


def _cells() -> Iterator[Cell]:
    return (Cell(*names) for names in product(LOCKS, AUTH_MANAGERS, DATABASES))


def _venv(version: str) -> str:
    """A separate environment, so that .venv is not touched."""
    return f".matrix/{version}"


def _run(cell: Cell) -> Outcome:
    print(
        f"==> {cell.version} {cell.auth} {cell.database}: {cell.log.relative_to(CHECKOUT)}", file=sys.stderr
    )
    choice = ("--auth", cell.auth, "--database", cell.database)
    command = (
        f"{_venv(cell.version)}/bin/pytest",
        *("-q", "-n", WORKERS, "-p", "no:cacheprovider", *choice, *cell.paths),
    )
    started = time.monotonic()
    with cell.log.open("w") as log:
        done = subprocess.run(command, cwd=CHECKOUT, stdout=log, stderr=log, check=False)
    lines = cell.log.read_text(errors="replace").split("\n")
    last_line = next((line for line in reversed(lines) if line.strip()), "no output")
    return Outcome(cell, done.returncode, time.monotonic() - started, last_line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
