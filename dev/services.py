"""Airflow's processes, each in a session of its own, so that its children end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

TERMINATE_SECONDS = 15


class ServiceDiedError(Exception):
    """A process ended unexpectedly."""

    def __init__(self, name: str, log: Path, status: int) -> None:
        super().__init__(f"{name} ended unexpectedly (status {status}), its log is {log}")


@dataclass
class Services:
    """Processes that run until `stop`; each one writes its output to a file in `logs`."""

    environment: dict[str, str]
    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *arguments: str) -> None:
        with self.log(name).open("ab") as log:
            self.running[name] = self._spawn(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def run(self, name: str, *arguments: str, stdin: str = "") -> int:
        """Run a command to its end and return its status; its output is in its log."""
        with self.log(name).open("ab") as log:
            process = self._spawn(arguments, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._communicate(name, process, stdin)
        return process.returncode

    def ask(self, name: str, *arguments: str) -> tuple[int, str]:
        """Run a command to its end; returns status and standard output, standard error is in its log."""
        with self.log(name).open("ab") as log:
            process = self._spawn(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        output = self._communicate(name, process)
        return process.returncode, output

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def check(self) -> None:
        """Raises ServiceDiedError if one of them has ended."""
        for name, process in self.running.items():
            status = process.poll()
            if status is not None:
                raise ServiceDiedError(name, self.log(name), status)

    def stop(self, *names: str) -> None:
        """End the named processes, or all: first SIGTERM, then SIGKILL."""
        chosen = [self.running.pop(name) for name in names or list(self.running)]
        end(*chosen)

    def kill(self, name: str) -> None:
        """Kill one, as in a crash."""
        end(self.running.pop(name), seconds=0)

    def _communicate(self, name: str, process: subprocess.Popen[bytes], stdin: str | None = None) -> str:
        self.running[name] = process  # so that `stop` ends it too
        output, _ = process.communicate(stdin.encode() if stdin else None)
        del self.running[name]
        return output.decode(errors="replace") if output else ""

    def _spawn(
        self, arguments: Sequence[str], *, stdin: int, stdout: IO[bytes] | int, stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        airflow = Path(sys.executable).parent / "airflow"
        return subprocess.Popen(
            [str(airflow), *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=self.environment,
            start_new_session=True,
        )


def end(
    *processes: subprocess.Popen[bytes],
    number: signal.Signals = signal.SIGTERM,
    seconds: float = TERMINATE_SECONDS,
) -> None:
    """End session leaders and their children: signal them, and kill the rest after some seconds."""
    if seconds:
        for process in processes:
            _signal_group(process.pid, number)
    give_up_at = time.monotonic() + seconds
    for process in processes:
        _wait(process, give_up_at)
        _kill_session(process.pid)
        process.wait()


def _wait(process: subprocess.Popen[bytes], give_up_at: float) -> None:
    """Wait without reaping the process: its pid stays reserved until its session has been killed."""
    while process.returncode is None and time.monotonic() < give_up_at:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.05)


def _kill_session(leader: int) -> None:
    """Kill the rest of the leader's session, because Airflow puts tasks into process groups of their own."""
    _signal_group(leader, signal.SIGKILL)
    for pid in session_members(leader):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def session_members(leader: int) -> list[int]:
    """The processes of the session that a process leads, itself included."""
    stats = Path("/proc").glob("[0-9]*/stat")  # empty without /proc: there the group has to suffice
    return [int(stat.parent.name) for stat in stats if _session_of(stat) == leader]


def _session_of(stat: Path) -> int | None:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[3])


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return
