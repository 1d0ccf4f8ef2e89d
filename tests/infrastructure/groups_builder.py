"""Deliveries that wait for others of their group, and a dispatcher that is looked over by a test's clock."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from tests.infrastructure.webhooks_builder import Hook, change_run, rows, runs, store_delivery

STATES = {"batch": "batched", "latest": "settling", "one": "in_turn"}

BATCHES = {"batch_size": 3, "batch_seconds": 60, "batch_by": "${Webhook::Body.key}"}
LATEST = {"latest_by": "${Webhook::Body.key}", "quiet_seconds": 10, "at_most_seconds": 30}
ONE = {"one_at_a_time": "${Webhook::Body.key}"}


def key_of(value: Any) -> str:
    """The stored key of a value that JSON has."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def waiting(hook: Hook, state: str, at: datetime, *, key: Any = "a", **columns: Any) -> str:
    """Store a delivery as the endpoint does that waits for others of its key; returns its id."""
    given = {"conf": json.dumps({"key": key}), "next_attempt_at": None} | columns
    return store_delivery(hook, state=state, received_at=at, group_key=key_of(key), **given)


class Works:
    """The parts of a dispatcher process that turn such deliveries into runs, by one clock."""

    def __init__(self, clock: Callable[[], datetime], **settings: Any) -> None:
        from inbound_webhooks.dispatch.dispatcher import Dispatcher
        from inbound_webhooks.dispatch.groups import Groups
        from inbound_webhooks.dispatch.run_tracker import RunTracker
        from inbound_webhooks.settings import Settings

        options = Settings(**settings)
        self.clock: Any = clock
        self.groups = Groups(options, now=clock, pause=lambda _: None)
        self.dispatcher = Dispatcher(options, now=clock)
        self.tracker = RunTracker(options, now=clock)

    def after(self, seconds: float) -> None:
        """Let time pass, and do what is due then."""
        self.clock.at += timedelta(seconds=seconds)
        self.work()

    def decide(self) -> None:
        """Decide about groups until nothing is left to do."""
        while any(self.groups.decide()):
            pass

    def work(self) -> None:
        """Decide about groups and create runs until nothing is left to do."""
        self.decide()
        while self.dispatcher.dispatch_due():
            self.decide()

    def end_run(self, delivery_id: str, state: str = "success") -> None:
        """Let the run of a delivery end, and what follows from it."""
        run_id = next(row.run_id for row in rows("delivery") if row.id == delivery_id)
        change_run(run_id, state=state, end_date=self.clock.at)
        self.tracker.follow()
        self.work()


def runs_by_id() -> dict[str, Any]:
    """The confs of all runs."""
    return {run.run_id: run.conf for run in runs()}


def states_of(*ids: str) -> list[str]:
    """The states of deliveries, in the order of their ids as given."""
    found = {row.id: row.state for row in rows("delivery")}
    return [found[each] for each in ids]
