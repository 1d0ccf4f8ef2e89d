"""``python -m tests.fuzz.faulty_kinds``: kinds with faults, to see that each kind of fault is reported."""

from __future__ import annotations

import os
import re
import signal
import sys
import time

from hypothesis import strategies as st

from tests.fuzz.campaign import Kind, main


def burn(number: int) -> None:
    """Take processor time without end, in C code that no Python signal handler interrupts."""
    if number > 100:
        re.match(r"(a+)+$", "a" * 40 + "!")


def swallow(number: int) -> None:
    """Take 300 MB, and hide that there was no more."""
    if number > 100:
        try:
            b"x" * (300 * 1024 * 1024 + number)
        except MemoryError:
            return


def fail(number: int) -> None:
    """Raise."""
    if number > 100:
        raise ValueError("unforeseen")


def crash(number: int) -> None:
    """End the process as a fault in C code does."""
    if number > 100:
        os.kill(os.getpid(), signal.SIGSEGV)


def sleep(number: int) -> None:
    """Wait for something that does not come."""
    if number > 100:
        time.sleep(600)


def keep_quiet(number: int) -> None:
    """Nothing is wrong with this one."""


TARGETS = {it.__name__: it for it in (burn, swallow, fail, crash, sleep, keep_quiet)}

if __name__ == "__main__":
    sys.exit(main({name: Kind(st.integers(0, 100_000), target) for name, target in TARGETS.items()}))
