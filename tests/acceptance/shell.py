"""A person's shell, in which what the documentation shows is typed as it stands there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.infrastructure.airflow_processes import AirflowProcesses
from tests.infrastructure.pages import blocks, typed

SECONDS = 300


class Shell:
    """Runs lines in a folder with the programs and settings of an Airflow."""

    def __init__(self, airflow: AirflowProcesses, folder: Path, **variables: str) -> None:
        self.folder = folder
        path = f"{airflow.bin}:{Path(sys.executable).parent}:{airflow.environment['PATH']}"
        self._environment = airflow.environment | {"PATH": path} | variables

    def __call__(self, lines: str, *, input: str = "") -> str:
        """What the lines print to standard output; each of them must succeed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            cwd=self.folder,
            env=self._environment,
            input=input,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def block_with(text: str, *words: str) -> str:
    """The one console block of a page that holds all of these words."""
    (block,) = [block for block in blocks(text, "console") if all(word in block for word in words)]
    return block


def commands(text: str, *words: str) -> str:
    """What a person types of that block."""
    return typed(block_with(text, *words))
