"""Settings of Python's interpreter for a process whose event loop answers requests while threads compute."""

from __future__ import annotations

import gc
import sys

SWITCH_SECONDS = 0.001
"""How long a thread that computes keeps the interpreter from the event loop; Python's default is five times
as long. The loop needs it several times for a request."""


def favour_event_loop() -> None:
    """Shorten what keeps an event loop waiting; called when the server has imported what it needs."""
    # Imported modules stay: the garbage collector need not scan all of Airflow again and again, which takes
    # half a second, in which no thread runs. Requests with thousands of values make it do so.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
