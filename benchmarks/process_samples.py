"""What processes take of the machine, as /proc says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessSample:
    """One process at one moment: resident bytes, threads, open files of any kind, sockets among them."""

    memory: int
    threads: int
    files: int
    connections: int


def sample(pid: int) -> ProcessSample:
    """How a process is now; FileNotFoundError where there is none any more."""
    status = dict(line.split(":", 1) for line in (PROC / str(pid) / "status").read_text().splitlines())
    if "VmRSS" not in status:
        raise FileNotFoundError(f"process {pid} has ended")
    targets = _open_files(pid)
    return ProcessSample(
        memory=int(status["VmRSS"].split()[0]) * 1024,
        threads=int(status["Threads"]),
        files=len(targets),
        connections=sum(target.startswith("socket:") for target in targets),
    )


def with_children(pid: int) -> list[int]:
    """A process and those that it has started itself, by age."""
    stats = PROC.glob("[0-9]*/stat")
    return [pid, *sorted(int(stat.parent.name) for stat in stats if _parent(stat) == pid)]


def _open_files(pid: int) -> list[str]:
    found = []
    for link in (PROC / str(pid) / "fd").iterdir():
        try:
            found.append(os.readlink(link))
        except FileNotFoundError:
            continue  # closed meanwhile
    return found


def _parent(stat: Path) -> int | None:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
