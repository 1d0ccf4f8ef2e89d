"""Airflow's command line as a person uses it: a process of its own, until it has ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.infrastructure.environment import process_environment

COMMAND_SECONDS = 400


def airflow(
    home: Path, database_url: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `airflow ARGUMENTS` in a folder and on a database; ``variables`` are of the environment."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "airflow"), *arguments],
        env=process_environment(home, database_url, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
