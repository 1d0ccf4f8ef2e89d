"""A round of work again and again in a thread of its own, whatever happens in it."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable

from inbound_webhooks.errors import DatabaseUnavailable

log = logging.getLogger(__name__)


class Loop:
    """Calls ``work`` until :meth:`stop`; at once again while it returns True, else after so many seconds."""

    def __init__(self, name: str, work: Callable[[], bool], *, seconds: float) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"inbound-webhooks-{name}", daemon=True)

    def start(self) -> None:
        """Begin, in the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let it end after the round at hand."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait for its end, no longer than that: the thread does not keep the process alive."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._more():
                self._stopping.wait(self._seconds)

    def _more(self) -> bool:
        try:
            return self._work()
        except DatabaseUnavailable:
            return False  # logged where it was noticed; the next round tries again
        except Exception as error:  # noqa: BLE001 - one bad round must not end the loop
            log_unexpected_error(self._name, error)
            return False


def log_unexpected_error(what: str, error: BaseException) -> None:
    """Log where an unforeseen error happened; its message may quote values."""
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("dispatch fault action=dispatch_fault what=%s kind=%s\n%s", what, type(error).__name__, places)
