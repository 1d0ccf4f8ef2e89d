"""A dispatcher in a process of its own that works when it is told to.

Reads lines from standard input, "fill NUMBER WEBHOOK" or "drain"; answers each with a line of JSON on the
descriptor that is its argument. What Airflow logs goes to standard output, as that of any dispatcher.
"""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.dispatch_rounds import fill


def main(descriptor: int) -> None:
    """Do as told until the input ends."""
    from inbound_webhooks.dispatch.dispatcher import Dispatcher
    from inbound_webhooks.settings import Settings

    dispatcher = Dispatcher(Settings.load())
    with os.fdopen(descriptor, "w") as responses:
        for line in sys.stdin:
            command, *arguments = line.split()
            started, done = time.monotonic(), 0
            if command == "fill":
                fill(int(arguments[0]), arguments[1])
            else:
                while handled := dispatcher.dispatch_due():
                    done += handled
            responses.write(json.dumps({"started": started, "ended": time.monotonic(), "done": done}) + "\n")
            responses.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
