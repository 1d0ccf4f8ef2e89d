"""A run that is ended leaves no server behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.infrastructure.environment import CHECKOUT

START_SECONDS = 120
END_SECONDS = 60
IGNORING_INT = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""As a script's job in the background does, so that what execnet sends to its workers ends none of them."""
STORY = Path(__file__).with_name("server_in_use.py")


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "pid"


@pytest.fixture
def run(pid_file: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """run(*options): pytest, whose test uses a server by now."""
    started = []

    def start(*options: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*IGNORING_INT, sys.executable, "-m", "pytest", "-p", "xdist", *options, str(STORY)],
            cwd=CHECKOUT,
            # Without plugins that take seconds to import.
            env={**os.environ, "SERVER_PID_FILE": str(pid_file), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=subprocess.DEVNULL,
        )
        started.append(process)
        wait_until(pid_file.exists, START_SECONDS)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    give_up_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up_at, f"waited {seconds} s"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_run_that_is_terminated_ends_its_servers_before_itself(run, pid_file, workers):
    process = run("-n", workers)
    server = int(pid_file.read_text())
    process.terminate()
    assert process.wait(END_SECONDS) == pytest.ExitCode.INTERRUPTED
    assert not is_running(server)


def test_workers_whose_controller_is_killed_end_their_servers(run, pid_file):
    process = run("-n", "1")
    server = int(pid_file.read_text())
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_running(server), END_SECONDS)
