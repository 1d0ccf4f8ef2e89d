"""A delivery beside what Airflow knows of its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inbound_webhooks.records.delivery import State
from inbound_webhooks.storage import listing
from inbound_webhooks.storage.listing import OPEN_STATES, RunFacts


@dataclass(frozen=True)
class Shown:
    """A delivery with the facts about its run from Airflow."""

    delivery: Any
    run: RunFacts | None

    @property
    def state(self) -> str:
        """The delivery's state; until the end of its run is recorded, the run's state."""
        is_dispatched = self.delivery.state == State.DISPATCHED
        state = self.run.state if is_dispatched and self.run else str(self.delivery.state)
        # Airflow's name for the state, until the run tracker has recorded the end.
        return State.SUCCEEDED if state == "success" else state

    @property
    def is_open(self) -> bool:
        """Whether its state can still change."""
        return self.delivery.state in OPEN_STATES

    @property
    def started_at(self) -> datetime | None:
        """The run's start. The recorded one comes first: Airflow may have purged the run since."""
        return self.delivery.run_started_at or (self.run.started_at if self.run else None)

    @property
    def ended_at(self) -> datetime | None:
        """The run's end; None while it is running."""
        # Without a run, finished_at is the time when the dispatcher gave up.
        recorded = self.delivery.finished_at if self.delivery.run_id else None
        return recorded or (self.run.ended_at if self.run else None)

    @property
    def seconds(self) -> float | None:
        """The run's duration; None while it is running."""
        if self.started_at is None or self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()


def with_runs(connection: Any, rows: Sequence[Any]) -> list[Shown]:
    """Pair each delivery with its run."""
    facts = listing.run_facts(connection, {(row.dag_id, row.run_id) for row in rows if row.run_id})
    return [Shown(row, facts.get((row.dag_id, row.run_id))) for row in rows]
