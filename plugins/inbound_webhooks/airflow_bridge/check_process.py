"""Checks of params that may take longer than linear time, in a process that can be killed."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from threading import BoundedSemaphore, Lock
from typing import Any

from inbound_webhooks.airflow_bridge.check_worker import CHECK_CPU_SECONDS
from inbound_webhooks.errors import Problem, TooBusy
from inbound_webhooks.monitoring import metrics
from inbound_webhooks.monitoring.environment import ENVIRONMENT
from inbound_webhooks.monitoring.log_lines import get_logger

log = get_logger(__name__)

MAX_WAITING = 4
"""Checks that wait for the process or are in it; each holds a thread."""

START_SECONDS = 10.0
CHECK_SECONDS = 2.0
"""How long a caller waits; the processor may be busy with something else than the check."""

CHECK_MILLISECONDS = round(CHECK_CPU_SECONDS * 1000)

TOO_SLOW = f"checking it against the param's schema takes longer than {CHECK_MILLISECONDS} milliseconds"
FAILED = "checking it against the param's schema has failed"

CHECKS_DO_NOT_START = "slow-checks-do-not-start"
"""The code of that problem."""

_PROGRAM = "import sys; sys.path[:] = {path!r}; from {module} import main; main()"
_WORKER = "inbound_webhooks.airflow_bridge.check_worker"


class CheckProcess:
    """One worker process, started when it is first needed and again after it was killed; thread-safe."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._reset()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._places = BoundedSemaphore(MAX_WAITING)
        self._lock = Lock()
        self._worker: subprocess.Popen[str] | None = None
        self._is_closed_at_exit = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return None if self._worker is None else self._worker.pid

    def refusal(self, schema: Mapping[str, Any], value: Any) -> str | None:
        """Why a schema refuses a value, or None; a value whose check takes too long is refused.

        :raises TooBusy: too many checks are waiting
        """
        if self._owner != os.getpid():
            self._reset()  # a fork shares the pipes of its parent's worker
        if not self._places.acquire(blocking=False):
            raise TooBusy("Too many values wait for a slow check.")
        try:
            with self._lock:
                return self._ask(json.dumps([dict(schema), value]))
        finally:
            self._places.release()

    def close(self) -> None:
        """End the worker process."""
        worker, self._worker = self._worker, None
        if worker is not None and self._owner == os.getpid():
            _kill(worker)

    def _ask(self, question: str) -> str | None:
        worker = self._running()
        try:
            answer = _exchange(worker, question)
        except TimeoutError:
            self.close()
            raise TooBusy("The machine is too busy for the check of a value.") from None
        if not answer:
            self.close()
            is_slow = worker.returncode == -signal.SIGPROF
            metrics.count("slow_checks.killed")
            log.warning("check of a param ended action=check_killed slow=%s", is_slow)
            return TOO_SLOW if is_slow else FAILED
        found: str | None = json.loads(answer)
        return found

    def _running(self) -> subprocess.Popen[str]:
        if self._worker is None or self._worker.poll() is not None:
            if not self._is_closed_at_exit:
                self._is_closed_at_exit = True
                atexit.register(self.close)
            self.close()
            self._worker = self._start()
        return self._worker

    def _start(self) -> subprocess.Popen[str]:
        try:
            worker = _start(self._python)
        except CannotStart as error:
            ENVIRONMENT.report(
                Problem(
                    "The process that checks params with patterns that look around or refer back, recursive "
                    f"schemas or long texts does not start: {error}. Requests to webhooks of DAGs with such "
                    f"params get 503. {self._python} must be able to import this package, and the host must "
                    "have memory and a process to spare.",
                    code=CHECKS_DO_NOT_START,
                    severity="hint",
                )
            )
            raise TooBusy("The process for slow checks does not start.") from None
        ENVIRONMENT.resolve(CHECKS_DO_NOT_START)
        return worker


class CannotStart(Exception):
    """The worker process does not start; the message says why."""


def _start(python: str) -> subprocess.Popen[str]:
    # Not multiprocessing: a fork of a process with threads may inherit a locked lock. The path is this
    # process's, which may import the package from Airflow's plugins folder.
    program = _PROGRAM.format(path=sys.path, module=_WORKER)
    try:
        worker = subprocess.Popen(  # noqa: S603 - our own program
            [python, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a warning might quote the value
            text=True,
            encoding="ascii",
            # Ctrl-C is for its parent, which ends it by closing its input.
            start_new_session=True,
        )
    except OSError as error:
        raise CannotStart(error.strerror or type(error).__name__) from None
    try:
        is_ready = bool(_read_line(worker, START_SECONDS))
    except TimeoutError:
        _kill(worker)
        raise CannotStart(f"it is not ready after {START_SECONDS:.0f} seconds") from None
    if not is_ready:
        _kill(worker)
        raise CannotStart(f"it ends with the status {worker.returncode}")
    return worker


def _exchange(worker: subprocess.Popen[str], question: str) -> str:
    """The worker's line; "" where it has ended instead."""
    assert worker.stdin is not None
    try:
        worker.stdin.write(f"{question}\n")
        worker.stdin.flush()
    except BrokenPipeError:
        return ""
    return _read_line(worker, CHECK_SECONDS)


def _read_line(worker: subprocess.Popen[str], seconds: float) -> str:
    """A line of the worker's, "" where it has ended; raises TimeoutError where it takes longer."""
    assert worker.stdout is not None
    # Not select(), which takes no descriptors above 1,023.
    poll = select.poll()
    poll.register(worker.stdout, select.POLLIN)
    if not poll.poll(seconds * 1000):
        raise TimeoutError
    return worker.stdout.readline()


def _kill(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            # What was not written yet has no reader any more.
            with suppress(BrokenPipeError):
                pipe.close()


CHECK_PROCESS = CheckProcess()
"""This process's."""
