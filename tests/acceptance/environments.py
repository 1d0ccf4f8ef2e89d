"""Fresh Python environments, and an Airflow in each: for what only shows where nothing is installed yet."""

from __future__ import annotations

import configparser
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from dev.services import end
from tests.infrastructure.environment import CHECKOUT, process_environment, sqlite_url
from tests.infrastructure.postgres import free_port

INSTALL_SECONDS = 900
COMMAND_SECONDS = 180
HEALTHY_SECONDS = 120


@dataclass(frozen=True)
class Distribution:
    """What a user downloads."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Environment:
    """Programs in ``bin`` and an Airflow of its own on SQLite in ``home``."""

    bin: Path
    home: Path
    variables: dict[str, str]

    @property
    def database(self) -> Path:
        return self.home / "airflow.db"

    def run(self, program: str, *arguments: str) -> str:
        """What the program prints; it must succeed."""
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def api_server(self) -> Iterator[str]:
        """A running api-server; gives its URL."""
        with self.running("api-server", "--host", "127.0.0.1") as url:
            yield url

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[str]:
        """An Airflow command that serves on the environment's own port; gives its URL."""
        with (self.home / f"{command[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self.bin / "airflow"), *command],
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        url = self.variables["AIRFLOW__API__BASE_URL"]
        try:
            _wait_until_healthy(url, process)
            yield url
        finally:
            end(process)


def make(folder: Path, *requirements: str, **variables: str) -> Environment:
    """An environment with these requirements, all other versions as in constraints.txt."""
    home = folder / "home"
    home.mkdir(parents=True)
    port = free_port()
    served = {"AIRFLOW__API__PORT": str(port), "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}"}
    everything = process_environment(home, sqlite_url(home / "airflow.db"), **served, **variables)
    everything.pop("PYTHONPATH", None)  # what the person's shell adds is not installed
    everything |= {name: value for name, value in variables.items() if name == "PYTHONPATH"}
    programs = folder / "venv" / "bin"
    everything["PATH"] = f"{programs}:{everything['PATH']}"  # as in an environment that was activated
    _install(folder / "venv", requirements)
    return Environment(programs, home, everything)


def build(folder: Path) -> Distribution:
    """What `make dist` builds, in a folder."""
    venv = str(Path(sys.executable).parent.parent)
    command = ("sh", "dev/dist.sh", venv, str(folder))
    subprocess.run(command, cwd=CHECKOUT, check=True, timeout=INSTALL_SECONDS)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distribution(wheel, sdist)


def declared_requirements() -> list[str]:
    """What the package itself asks for, with what it takes on PostgreSQL."""
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg")
    declared = (config["options"]["install_requires"], config["options.extras_require"]["postgres"])
    return " ".join(declared).split()


def _install(venv: Path, requirements: Sequence[str]) -> None:
    """With uv, which takes seconds; with pip where uv is missing or cannot reach an index."""
    constrained = ("-c", str(CHECKOUT / "constraints.txt"), *requirements)
    uv = Path(sys.executable).parent / "uv"
    if uv.exists() and not _fails(str(uv), "venv", "--python", sys.executable, str(venv)):
        variables = {**os.environ, "VIRTUAL_ENV": str(venv)}
        if not _fails(str(uv), "pip", "install", *constrained, env=variables):
            return
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=INSTALL_SECONDS)
    pip = (str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", *constrained)
    subprocess.run(pip, check=True, timeout=INSTALL_SECONDS)


def _fails(*command: str, env: dict[str, str] | None = None) -> bool:
    done = subprocess.run(command, env=env, timeout=INSTALL_SECONDS, capture_output=True, check=False)
    return done.returncode != 0


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + HEALTHY_SECONDS
    while True:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{url}/api/v2/monitor/health", timeout=60).status_code == 200:
                return
        assert process.poll() is None, "the api-server has ended by itself"
        assert time.monotonic() < give_up_at, "the api-server does not become healthy"
        time.sleep(0.2)
