"""How long B waits while A attacks: B's POSTs, Airflow's own API, and disabling B's webhook."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.attacks import ATTACKS, MIXTURE
from benchmarks.client import Round
from benchmarks.figures import Row, latencies, milliseconds, percentile
from benchmarks.isolation_scene import API_SERVER, GATEWAY, Scene, Taken, merged, set_up
from benchmarks.scale import Scale
from benchmarks.site import Site

GOAL_RATIO = 3.0
GOAL_P99_SECONDS = 0.250
GOAL_DISABLE_SECONDS = 2.0
GOAL = "ratios of p99 ≤ 3, p99 < 250 ms, `disable` < 2 s"

TITLES = {name: attack.title for name, attack in ATTACKS.items()} | {MIXTURE: "does all of this at once"}


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """A row for each attack at each endpoint, and notes on what the attacks got."""
    rows: list[Row] = []
    notes: list[str] = []
    with set_up(site, scale) as scene:
        for endpoint in (API_SERVER, GATEWAY):
            more_rows, more_notes = _at(endpoint, scene)
            rows += more_rows
            notes += more_notes
    return rows, notes


def _at(endpoint: str, scene: Scene) -> tuple[list[Row], list[str]]:
    before = scene.quiet(endpoint)
    attacked = {name: scene.attacked(endpoint, name) for name in TITLES}
    quiet = without_a([before, scene.quiet(endpoint)])
    rows = [row(f"{endpoint}, A {TITLES[name]}", taken, quiet) for name, taken in attacked.items()]
    notes = [
        f"Isolation, {endpoint}, {name}: A got {taken.attack}."
        for name, taken in attacked.items()
        if taken.attack
    ]
    return rows, notes


def without_a(taken: Sequence[Taken]) -> Taken:
    """The quiet loads before and after the attacks as one."""
    own = [it.airflow for it in taken if it.airflow is not None]
    return Taken(
        b=merged([it.b for it in taken]),
        airflow=merged(own) if own else None,
        disablings=[one for it in taken for one in it.disablings],
    )


def row(label: str, taken: Taken, quiet: Taken) -> Row:
    """What B and Airflow got with A; in the next column without."""
    measured = f"B at the {label}; in the next column without A"
    if taken.refused:
        return Row(
            measured=measured, ours="refused when it is saved", airflow=_cell(quiet), goal=GOAL, met=True
        )
    pairs = [(taken.b, quiet.b)]
    if taken.airflow is not None and quiet.airflow is not None:
        pairs.append((taken.airflow, quiet.airflow))
    ratios = [p99(one) / p99(other) for one, other in pairs]
    is_met = (
        all(quotient <= GOAL_RATIO for quotient in ratios)
        and all(p99(one) < GOAL_P99_SECONDS and one.accepted == len(one.latencies) for one, _ in pairs)
        and all(status == 200 and seconds < GOAL_DISABLE_SECONDS for status, seconds in taken.disablings)
    )
    names = ("B", "Airflow")
    return Row(
        measured=measured,
        ours=_cell(taken),
        airflow=_cell(quiet),
        # Upwards: here a smaller ratio is the better one.
        ratio="<br>".join(
            f"{name} {math.ceil(quotient * 100) / 100:.2f}"
            for name, quotient in zip(names, ratios, strict=False)
        ),
        goal=GOAL,
        met=is_met,
    )


def p99(taken: Round) -> float:
    """Of the responses, in seconds; a request without one counts with the time that it waited."""
    return percentile(taken.latencies, 99)


def _cell(taken: Taken) -> str:
    lines = [f"B {_waits(taken.b)}"]
    if taken.airflow is not None:
        lines.append(f"`GET /api/v2/version` {_waits(taken.airflow)}")
    lines.append(f"`disable` {milliseconds(max(seconds for _, seconds in taken.disablings))}")
    failed = [str(status or "none") for status, _ in taken.disablings if status != 200]
    return "<br>".join(lines) + (f" (failed: {', '.join(failed)})" if failed else "")


def _waits(taken: Round) -> str:
    others = [
        f"{number} × {status or 'none'}" for status, number in taken.statuses.items() if status // 100 != 2
    ]
    return latencies(taken.latencies) + (f" ({', '.join(others)})" if others else "")
