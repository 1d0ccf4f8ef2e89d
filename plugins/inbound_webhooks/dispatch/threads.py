"""What works beside the requests, each in a thread of its own."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Protocol

from inbound_webhooks.storage.database import LOCK_TIMEOUT_SECONDS


class Worker(Protocol):
    """Something that works until it is told to stop."""

    def run(self) -> None:
        """Work until :meth:`stop`."""

    def stop(self) -> None:
        """Let :meth:`run` end soon."""


def start(worker: Worker, name: str, running: ExitStack) -> None:
    """Run a worker until ``running`` is closed."""
    thread = threading.Thread(target=worker.run, name=f"inbound-webhooks-{name}", daemon=True)
    thread.start()
    # It ends after what it has at hand, which waits for a lock no longer than LOCK_TIMEOUT_SECONDS.
    running.callback(thread.join, 2 * LOCK_TIMEOUT_SECONDS)
    running.callback(worker.stop)
