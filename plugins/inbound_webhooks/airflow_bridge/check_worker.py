"""The process that checks what takes longer than linear time; it imports neither Airflow nor a database.

It reads lines of JSON from its standard input, ``[schema, value]``, and writes a line for each: null, or why
the schema refuses the value. The kernel ends it when one check has taken :data:`CHECK_CPU_SECONDS`: no
signal handler of Python's would run inside of a regular expression.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from functools import lru_cache

from inbound_webhooks.event.conf.schema_check import SchemaCheck

CHECK_CPU_SECONDS = 0.1
"""Time of the processor for one check."""

NICENESS = 10
"""Checks of one sender get the processor after everything else."""

MAX_MEMORY_BYTES = 256 * 1024 * 1024
"""Address space of this process. It takes 50 MiB to start and 15 more for a body of two; a check that takes
several times as much fails, instead of taking the memory of the host."""

_MAX_CACHED_SCHEMAS = 64


def main() -> None:
    """Check until the input ends."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    # What a process ignores or blocks is inherited by those that it starts.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    print(flush=True)  # ready: an import of jsonschema takes a while
    for line in sys.stdin:
        schema, value = json.loads(line)
        check = _check(json.dumps(schema))
        signal.setitimer(signal.ITIMER_PROF, CHECK_CPU_SECONDS)
        try:
            refusal = check.unlimited_refusal(value)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(refusal), flush=True)


@lru_cache(_MAX_CACHED_SCHEMAS)
def _check(schema: str) -> SchemaCheck:
    check = SchemaCheck(json.loads(schema))
    check.prepare()
    return check
