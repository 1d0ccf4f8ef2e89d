"""Row 2: DAG runs a second that one dispatcher makes of a backlog, against a bare loop of trigger_dag."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.dispatch_rounds import WARM_UP
from benchmarks.figures import Row, rate, ratio
from benchmarks.scale import Scale
from benchmarks.site import Site

GOAL_RATIO = 1.5
ROUNDS_SECONDS = 600
CHECKOUT = Path(__file__).resolve().parents[1]


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The row, and how many runs there are in the end."""
    name = "dispatching"
    airflow = site.airflow(name, dispatcher=False)
    airflow.home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.dispatch_rounds", str(scale.dispatch_rounds), str(scale.backlog)],
        cwd=CHECKOUT,
        env=airflow.environment,
        capture_output=True,
        text=True,
        timeout=ROUNDS_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the rounds of dispatching failed:\n{done.stdout}\n{done.stderr}")
    rates: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return [_row(rates["dispatcher"], rates["trigger_dag"], scale)], [_count(site, name, scale)]


def _row(ours: list[float], theirs: list[float], scale: Scale) -> Row:
    quotient = statistics.median(ours) / statistics.median(theirs)
    return Row(
        measured=f"DAG runs a second of one process, {scale.backlog:,} a round",
        ours=rate(ours),
        airflow=rate(theirs),
        ratio=ratio(quotient),
        goal=f"ratio ≥ {GOAL_RATIO}",
        met=quotient >= GOAL_RATIO,
    )


def _count(site: Site, database: str, scale: Scale) -> str:
    made = site.count(database, "SELECT count(*) FROM dag_run")
    wanted = 2 * (scale.dispatch_rounds * scale.backlog + WARM_UP)
    verdict = "equal" if made == wanted else "**not equal**"
    return f"Dispatching: {wanted:,} deliveries and calls, {made:,} DAG runs ({verdict})."
