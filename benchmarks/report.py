"""The table, and its place in README.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Row

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
BAR = "\\|"
HEAD = ("Measured", "Ours", "Airflow's own", "Ratio", "Goal")
PACKAGES = {
    "this package": "airflow-inbound-webhooks",
    "Airflow": "apache-airflow",
    "FAB provider": "apache-airflow-providers-fab",
    "SQLAlchemy": "sqlalchemy",
}


def text(rows: Sequence[Row], notes: Sequence[str], *, postgres: str, command: str) -> str:
    """Everything that stands between the markers."""
    table = [_line(HEAD), _line(["---"] * len(HEAD)), *map(line, rows)]
    about = [
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, `{command}`.",
        f"Machine: {_machine()}.",
        f"Versions: {_versions(postgres)}.",
    ]
    return "\n\n".join(["\n".join(about), "\n".join(table), "\n".join(f"- {note}" for note in notes)])


def write(figures: str) -> None:
    """Put the figures in place of the last ones."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}")


def line(row: Row) -> str:
    """A row as a line of the table."""
    return _line(row.cells)


def _line(cells: Sequence[str]) -> str:
    # A bar in a cell, such as a filter's, would begin another cell.
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def _machine() -> str:
    load = os.getloadavg()[1]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return f"{os.cpu_count()} cores ({_cpu_model()}), {memory} GiB, load of the last 5 minutes {load:.2f}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _versions(postgres: str) -> str:
    packages = [f"{label} {version(name)}" for label, name in PACKAGES.items()]
    return ", ".join([f"Python {platform.python_version()}", *packages, f"PostgreSQL {postgres}"])
