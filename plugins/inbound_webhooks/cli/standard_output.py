"""Keeps standard output for a command's own output; whatever else writes there goes to standard error.

Log handlers of Airflow's console, plugins and DAG files of other authors, C libraries, child processes and
functions that run at exit all write to file descriptor 1, so the descriptor itself is diverted.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STDOUT, STDERR = 1, 2


class StandardOutput:
    """The standard output of this process, for the command that it runs."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def claim(self) -> None:
        """Divert file descriptor 1 to standard error, for the rest of the process; :meth:`write` still
        reaches standard output.

        It is never given back at the end of a command, because Airflow logs at exit too. Nothing is diverted
        where ``sys.stdout`` is another stream, as inside a test or a notebook.
        """
        if self._descriptor is not None or not _is_descriptor(sys.stdout, STDOUT):
            return
        # Above the standard streams: one of them may be closed, and would get the copy.
        self._descriptor = fcntl.fcntl(STDOUT, fcntl.F_DUPFD_CLOEXEC, STDERR + 1)
        # What others have left in the buffer of sys.stdout is not flushed first: it is not ours either.
        try:
            os.dup2(STDERR, STDOUT)
        except OSError:  # standard error is closed
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), STDOUT)

    def release(self) -> None:
        """Give standard output back, for a process that logs there until it is stopped."""
        if self._descriptor is None:
            return
        sys.stdout.flush()
        os.dup2(self._descriptor, STDOUT)
        os.close(self._descriptor)
        self._descriptor = None

    @contextmanager
    def released(self) -> Iterator[None]:
        """Give standard output back for a while, for a help text that another library prints."""
        self.release()
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
            self.claim()

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads the output."""
        if self._descriptor is not None:
            return os.isatty(self._descriptor)
        return sys.stdout is not None and sys.stdout.isatty()

    def write(self, text: str, *, encoding: str | None = None) -> None:
        """Write a text at once; characters that the encoding lacks appear as escapes, such as ``\\xe9``.

        :param encoding: instead of the terminal's, for a file format that has one of its own
        :raises OSError: the reader of a pipe is gone, or the disk is full
        """
        if sys.stdout is None:  # the caller has closed it
            return
        used = encoding or sys.stdout.encoding or "utf-8"
        data = text.encode(used, "backslashreplace")
        if self._descriptor is None:
            sys.stdout.write(data.decode(used))
            sys.stdout.flush()
            return
        while data:
            data = data[os.write(self._descriptor, data) :]


def _is_descriptor(stream: Any, descriptor: int) -> bool:
    try:
        return bool(stream.fileno() == descriptor)
    except (AttributeError, OSError, ValueError):  # None, a buffer in memory, a closed file
        return False


STANDARD_OUTPUT = StandardOutput()
"""The standard output of this process."""
