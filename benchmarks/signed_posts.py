"""Row 5: what a sender's proof, filter and deduplication cost at the door."""

from __future__ import annotations

from benchmarks.figures import Row, ratio
from benchmarks.posts import DELIVERIES, Side, comparison
from benchmarks.scale import Scale
from benchmarks.site import Site, running

GOAL_SLOWER_PERCENT = 25
WARM_UP_SECONDS = 1.5
DATABASE = "signed_posts"


def measure(site: Site, scale: Scale) -> tuple[list[Row], list[str]]:
    """The rows, and how the answers compare with what the database holds."""
    rows: list[Row] = []
    sides: list[Side] = []
    with running(site.airflow(DATABASE, dispatcher=False)) as airflow:
        for connections in scale.connections:
            signed = Side(site.push(airflow.port, signed=True))
            bare = Side(site.push(airflow.port, signed=False))
            sides += [signed, bare]
            for side in (signed, bare):
                side.take(connections, WARM_UP_SECONDS, keep=False)
            for _ in range(scale.rounds):
                bare.take(connections, scale.round_seconds)
                signed.take(connections, scale.round_seconds)
            rows.append(_row(signed, bare, connections))
        return rows, [
            comparison("GitHub's push", "ours", sides, "deliveries", site.count(DATABASE, DELIVERIES))
        ]


def _row(signed: Side, bare: Side, connections: int) -> Row:
    quotient = signed.median / bare.median
    return Row(
        measured=f"GitHub's pushes a second with its preset, {connections} connections; "
        "in the next column ours without it",
        ours=str(signed),
        airflow=str(bare),
        ratio=ratio(quotient),
        goal=f"under {GOAL_SLOWER_PERCENT} % slower (ratio > {1 - GOAL_SLOWER_PERCENT / 100})",
        met=quotient > 1 - GOAL_SLOWER_PERCENT / 100,
    )
