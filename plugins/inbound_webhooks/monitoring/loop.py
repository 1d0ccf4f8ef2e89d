"""Repeats a job in its own thread, whatever errors it raises."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from inbound_webhooks.errors import DatabaseUnavailable
from inbound_webhooks.monitoring.log_lines import SourceLines, get_logger

log = get_logger(__name__)


class Loop:
    """Calls ``work`` until :meth:`stop`: again immediately if it returns True, else after ``seconds``."""

    def __init__(self, name: str, work: Callable[[], bool], *, seconds: float) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._stopping = threading.Event()
        # A daemon, because a job may hang in a system call; join() gives up after a while.
        self._thread = threading.Thread(target=self._run, name=f"inbound-webhooks-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the loop end after the current round."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait for the end, up to a limit: the thread is a daemon and does not keep the process alive."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                again = self._work()
            except DatabaseUnavailable:
                again = False  # logged already; the next round tries again
            except Exception as error:  # noqa: BLE001 - one failed round must not end the loop
                log_unexpected_error(self._name, error)
                again = False
            if not again:
                self._stopping.wait(self._seconds)


def log_unexpected_error(what: str, error: BaseException) -> None:
    """Log where an unexpected error was raised, without its message, which may quote values."""
    places = "".join(traceback.format_tb(error.__traceback__))
    kind = type(error).__name__
    log.error("unexpected error action=dispatch_fault what=%s kind=%s\n%s", what, kind, SourceLines(places))
