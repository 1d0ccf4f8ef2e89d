"""Row: what an event costs the dispatcher, of a webhook for which many tasks wait."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.figures import Row, latencies, percentile
from benchmarks.scale import Scale
from benchmarks.site import Site

GOAL_P50_SECONDS = 0.050
WAITS = 500
ROUNDS_SECONDS = 600
CHECKOUT = Path(__file__).resolve().parents[1]


def measure(site: Site, scale: Scale) -> list[Row]:
    """The row."""
    airflow = site.airflow("event_waits", dispatcher=False)
    airflow.home.mkdir(parents=True, exist_ok=True)
    events = min(scale.paced_posts // 6, WAITS // 2)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.event_waits_rounds", str(WAITS), str(events)],
        cwd=CHECKOUT,
        env=airflow.environment,
        capture_output=True,
        text=True,
        timeout=ROUNDS_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the rounds of waits for events failed:\n{done.stdout}\n{done.stderr}")
    taken: list[float] = json.loads(done.stdout.splitlines()[-1])
    return [
        Row(
            measured=f"From a stored event to its resumed task, {WAITS} tasks wait for the webhook, "
            f"{len(taken)} events",
            ours=latencies(taken),
            goal="p50 ≤ 50 ms",
            met=percentile(taken, 50) <= GOAL_P50_SECONDS,
        )
    ]
