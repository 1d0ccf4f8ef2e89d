"""How long a command takes to start, beside one of Airflow's own that does as little."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from benchmarks.figures import Row, milliseconds, ratio_upwards
from benchmarks.scale import Scale
from benchmarks.site import Site, command
from tests.infrastructure.airflow_processes import AirflowProcesses

GOAL_RATIO = 1.1
OURS = ("webhooks", "list", "-o", "json")
AIRFLOWS = ("connections", "list", "-o", "json")


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row: both commands in turn, each in processes of its own."""
    airflow = site.airflow("commands", dispatcher=False)
    airflow.home.mkdir(parents=True, exist_ok=True)
    for arguments in (OURS, AIRFLOWS):
        _seconds(airflow, arguments)  # compiles modules, and brings them into memory
    ours, theirs = [], []
    for number in range(scale.command_runs):
        # The order changes, so that neither side always runs on a warmer processor.
        sides = [(OURS, ours), (AIRFLOWS, theirs)]
        for arguments, taken in sides if number % 2 == 0 else reversed(sides):
            taken.append(_seconds(airflow, arguments))
    return [row(ours, theirs)]


def row(ours: Sequence[float], theirs: Sequence[float]) -> Row:
    """The row of the seconds that both commands took."""
    quotient = statistics.median(ours) / statistics.median(theirs)
    return Row(
        measured="`airflow webhooks list`, from its start to its end; in the next column "
        "`airflow connections list`",
        ours=milliseconds(statistics.median(ours)),
        airflow=milliseconds(statistics.median(theirs)),
        # Upwards: here a smaller ratio is the better one.
        ratio=ratio_upwards(quotient),
        goal=f"ratio ≤ {GOAL_RATIO}",
        met=quotient <= GOAL_RATIO,
    )


def _seconds(airflow: AirflowProcesses, arguments: Sequence[str]) -> float:
    started = time.perf_counter()
    command(airflow, *arguments)
    return time.perf_counter() - started
