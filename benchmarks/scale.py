"""How much is measured: the full run, a shorter one, and the quick one."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Bounds of one run; every round is taken once for each side, alternating."""

    rounds: int
    round_seconds: float
    """Length of a round of POSTs; the last answers are awaited after it."""
    drained_rounds: int
    """Rounds of POSTs with the dispatcher on: each one waits until all of its DAG runs are made."""
    drained_round_seconds: float
    connections: tuple[int, ...]
    dispatch_rounds: int
    backlog: int
    """Deliveries, and bare calls, in a round of dispatching."""
    paced_posts: int
    paced_posts_a_second: int
    wrong_posts: int
    """Requests of each kind that the door turns away."""
    retained: int
    """Old deliveries that the retention takes away."""
    webhooks: int
    stored: int
    """Deliveries in the database while pages are looked at."""
    page_views: int


FULL = Scale(
    rounds=5,
    round_seconds=4,
    drained_rounds=3,
    drained_round_seconds=2,
    connections=(4, 16),
    dispatch_rounds=3,
    backlog=2000,
    paced_posts=600,
    paced_posts_a_second=20,
    wrong_posts=500,
    retained=1_000_000,
    webhooks=10_000,
    stored=1_000_000,
    page_views=20,
)
SHORT = replace(
    FULL,
    rounds=3,
    round_seconds=3,
    drained_rounds=2,
    drained_round_seconds=1.5,
    dispatch_rounds=1,
    paced_posts=200,
    wrong_posts=300,
    retained=100_000,
)
QUICK = Scale(
    rounds=1,
    round_seconds=2,
    drained_rounds=1,
    drained_round_seconds=1.5,
    connections=(4,),
    dispatch_rounds=1,
    backlog=200,
    paced_posts=40,
    paced_posts_a_second=20,
    wrong_posts=100,
    retained=20_000,
    webhooks=1_000,
    stored=20_000,
    page_views=3,
)
