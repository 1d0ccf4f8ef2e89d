"""How much is measured: the full run, a shorter one, the quick one, and one round of a comparison."""

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
    dispatcher_rounds: int
    dispatched: int
    """Deliveries in a round of one dispatcher, or of two."""
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
    steady_seconds: float
    """How long requests come at a steady rate."""
    memory_requests: int
    """Requests after which the memory of a gateway is looked at."""
    command_runs: int
    """Runs of a command in processes of their own."""
    attack_seconds: float
    """How long B's requests are measured while A attacks."""
    deleted: int
    """Waiting deliveries of each webhook that A deletes."""
    batched: int
    """Events of a webhook with batches."""
    callbacks: int
    """Tasks that wait for a call, and as many that poll."""


FULL = Scale(
    rounds=5,
    round_seconds=4,
    drained_rounds=3,
    drained_round_seconds=2,
    connections=(4, 16),
    dispatch_rounds=3,
    backlog=2000,
    dispatcher_rounds=5,
    dispatched=1000,
    paced_posts=600,
    paced_posts_a_second=20,
    wrong_posts=500,
    retained=1_000_000,
    webhooks=10_000,
    stored=1_000_000,
    page_views=20,
    steady_seconds=20,
    memory_requests=1_000_000,
    command_runs=20,
    attack_seconds=10,
    deleted=100_000,
    batched=50_000,
    callbacks=30,
)
SHORT = replace(
    FULL,
    rounds=3,
    round_seconds=3,
    drained_rounds=2,
    drained_round_seconds=1.5,
    dispatch_rounds=1,
    dispatcher_rounds=3,
    dispatched=600,
    paced_posts=200,
    wrong_posts=300,
    retained=100_000,
    memory_requests=200_000,
    command_runs=10,
    attack_seconds=5,
    batched=10_000,
    callbacks=15,
)
QUICK = Scale(
    rounds=1,
    round_seconds=2,
    drained_rounds=1,
    drained_round_seconds=1.5,
    connections=(4,),
    dispatch_rounds=1,
    backlog=200,
    dispatcher_rounds=1,
    dispatched=200,
    paced_posts=40,
    paced_posts_a_second=20,
    wrong_posts=100,
    retained=20_000,
    webhooks=1_000,
    stored=20_000,
    page_views=3,
    steady_seconds=3,
    memory_requests=5_000,
    command_runs=3,
    attack_seconds=2.5,
    deleted=20_000,
    batched=2_000,
    callbacks=5,
)
AGAINST = replace(
    QUICK,
    connections=(4, 16),
    backlog=500,
    dispatched=500,
    paced_posts=100,
    wrong_posts=200,
    retained=100_000,
    stored=50_000,
    page_views=5,
    steady_seconds=5,
    memory_requests=20_000,
)
"""One round of a comparison. Figures have few digits: a retention of two seconds or three tells nothing."""
