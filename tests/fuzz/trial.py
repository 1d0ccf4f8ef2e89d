"""One input in a process of its own, within limits of processor time, memory and time on the clock."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_REPORT_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What one input may take."""

    cpu_seconds: float = 1.0
    memory_bytes: int = 200 * 1024 * 1024
    clock_seconds: float = 20.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What an input took; ``problem`` is empty where it kept within its bounds and raised nothing."""

    cpu_seconds: float
    memory_bytes: int
    problem: str = ""


def tried(target: Callable[[Any], None], value: Any, bounds: Bounds) -> Trial:
    """Call the target with a value in a fork of this process, which must have one thread alone."""
    resident = _resident_bytes()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_the_child(target, value, bounds, reading, writing)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        report, is_late = _report(pipe.fileno(), time.monotonic() + bounds.clock_seconds)
    if is_late:
        os.kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    cpu_seconds = used.ru_utime + used.ru_stime
    memory_bytes = max(0, used.ru_maxrss * 1024 - resident)
    problem = _problem(status, report, is_late, cpu_seconds, memory_bytes, bounds)
    return Trial(cpu_seconds=cpu_seconds, memory_bytes=memory_bytes, problem=problem)


def _be_the_child(
    target: Callable[[Any], None], value: Any, bounds: Bounds, reading: int, writing: int
) -> None:
    """Run and leave, without anything that the parent does at its exit."""
    status = 1
    try:
        os.close(reading)
        # Its default action ends the process even in the middle of a regular expression.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, bounds.cpu_seconds * 1.1)
        # Far above the bound, which the parent checks: code under test may catch MemoryError.
        most = _virtual_bytes() + 4 * bounds.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        target(value)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the parent reports it
        os.write(writing, traceback.format_exc().encode()[-MAX_REPORT_BYTES:])
    finally:
        os._exit(status)


def _report(descriptor: int, give_up_at: float) -> tuple[str, bool]:
    """What the child writes until it ends, and whether that is too late."""
    written = b""
    while (left := give_up_at - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            part = os.read(descriptor, MAX_REPORT_BYTES)
            if not part:
                return written.decode(errors="replace"), False
            written += part
    return written.decode(errors="replace"), True


def _problem(
    status: int, report: str, is_late: bool, cpu_seconds: float, memory_bytes: int, bounds: Bounds
) -> str:
    killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if killed_by == signal.SIGPROF or cpu_seconds > bounds.cpu_seconds:
        return f"it took more than {bounds.cpu_seconds:g} s of processor time"
    if memory_bytes > bounds.memory_bytes:
        return f"it took {memory_bytes / 2**20:,.0f} MB of memory"
    if is_late:
        return f"it did not end within {bounds.clock_seconds:g} s"
    if killed_by:
        return f"it ended the process with {signal.Signals(killed_by).name}"
    return f"it raised an unforeseen error:\n{report}" if status else ""


def _resident_bytes() -> int:
    """What a fork begins with: pages of files, such as libraries, are not copied."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
