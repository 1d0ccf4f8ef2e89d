"""Tells this process's endpoint that its server is about to stop.

A server stops its lifespan only after the last response, and would wait for those that wait for a run. So a
signal that stops the server is noticed on its way to the server's own handler.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def noticing_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on the running event loop as soon as a signal stops the server, while inside.

    Does nothing on a thread other than the main one, where Python handles no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    servers: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)
        servers[number](number, frame)

    # A signal without a handler ends the process at once, and has to go on doing that.
    handled = [number for number, of_server in servers.items() if callable(of_server)]
    for number in handled:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in handled:
            # The server may have put back what was there before it started.
            if signal.getsignal(number) is handle:
                signal.signal(number, servers[number])
