"""What takes long to make and is the same for all workers of a run: the first makes it, the others wait."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path


def once(path: Path, make: Callable[[Path], None]) -> Path:
    """The path, which ``make(path)`` has filled in this process or in another one of the run.

    ``make`` gets another path beside it, so that what fails halfway never looks whole.
    """
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_name(f"{path.name}.unfinished")
            make(unfinished)
            unfinished.rename(path)
    return path
