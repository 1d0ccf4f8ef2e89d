"""SIGTERM ends a run of the tests as Ctrl-C does: with the ends of all fixtures, and so of all servers.

A terminal sends Ctrl-C to every process of a run; SIGTERM comes to the controller of the workers alone.
It asks them to end and waits for them, since xdist would kill them after seconds, and their servers would go
on. Where the controller is killed, the kernel asks the workers.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

END_SECONDS = 60
PR_SET_PDEATHSIG = 1


def pytest_configure(config: pytest.Config) -> None:
    kind = WorkersEnd if hasattr(config, "workerinput") else ControllersEnd
    config.pluginmanager.register(kind(config))


class ControllersEnd:
    """Of the process that a user has started, with workers or without."""

    def __init__(self, config: pytest.Config) -> None:
        self._workers: list[int] = []
        signal.signal(signal.SIGTERM, _interrupt)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_newgateway(self, gateway: Any) -> None:
        self._workers.append(gateway._rinfo().pid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Before xdist ends the workers, where the run has been interrupted."""
        if exitstatus != pytest.ExitCode.INTERRUPTED:
            return
        for worker in filter(_is_alive, self._workers):
            os.kill(worker, signal.SIGTERM)
        give_up_at = time.monotonic() + END_SECONDS
        while any(map(_is_alive, self._workers)) and time.monotonic() < give_up_at:
            time.sleep(0.05)


class WorkersEnd:
    """Of a process that runs tests for a controller; it is interrupted once."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_interrupted = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._interrupt)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """An interrupted worker would wait for the controller, which waits for its end."""
        if self._is_interrupted:
            os._exit(pytest.ExitCode.INTERRUPTED)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # execnet sends another signal after five seconds, in the middle of the ends of fixtures.
        if not self._is_interrupted:
            self._is_interrupted = True
            raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
