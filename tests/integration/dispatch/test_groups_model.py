"""Any stream of events, with any settings and rounds at any time, against a model in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.groups_builder import Works, key_of
from tests.infrastructure.webhooks_builder import change_webhook, store_webhook
from tests.integration.dispatch.conftest import AT, Clock

KEYS = ("a", "b")


@dataclass
class Event:
    """What the model knows of a delivery; ``run`` names the first delivery of its run."""

    number: int
    key: str
    at: float
    cancels: bool = False
    state: str = "waiting"
    run: int | None = None


@dataclass
class Model:
    """What should become of the events, by the words of the documentation."""

    mode: dict[str, Any]
    events: list[Event] = field(default_factory=list)

    def look(self, now: float) -> None:
        for key in KEYS:
            waiting = [event for event in self.events if event.key == key and event.state == "waiting"]
            if waiting:
                getattr(self, self.mode["kind"])(waiting, now)

    def batch(self, waiting: list[Event], now: float) -> None:
        size, seconds = self.mode["size"], self.mode["seconds"]
        while len(waiting) >= size or (waiting and waiting[0].at + seconds <= now):
            for event in waiting[:size]:
                event.state, event.run = "running", waiting[0].number
            waiting = waiting[size:]

    def latest(self, waiting: list[Event], now: float) -> None:
        is_quiet = waiting[-1].at + self.mode["quiet"] <= now
        if is_quiet or waiting[0].at + self.mode["at_most"] <= now:
            for event in waiting[:-1]:
                event.state = "superseded"
            waiting[-1].state, waiting[-1].run = "running", waiting[-1].number

    def one(self, waiting: list[Event], now: float) -> None:
        while waiting:
            cancelling = next((event for event in waiting if event.cancels), None)
            if cancelling is not None:
                self._cancel(cancelling, waiting)
                waiting = [event for event in waiting if event.state == "waiting"]
                continue
            running = [each for each in self.events if each.key == waiting[0].key and each.state == "running"]
            self._take_turn(waiting, running)
            return

    def _cancel(self, cancelling: Event, waiting: list[Event]) -> None:
        for event in self.events:
            is_open = event.state in ("waiting", "running")
            if event.key == cancelling.key and is_open and event.number < cancelling.number:
                event.state = "cancelled"
        cancelling.state = "skipped"

    def _take_turn(self, waiting: list[Event], running: list[Event]) -> None:
        when_busy = self.mode["when_busy"]
        if when_busy == "cancel-running":
            for event in running:
                event.state = "cancelled"
            for event in waiting[:-1]:
                event.state = "superseded"
            waiting, running = waiting[-1:], []
        if not running:
            waiting[0].state, waiting[0].run = "running", waiting[0].number
            waiting = waiting[1:]
        if when_busy == "skip":
            for event in waiting:
                event.state = "skipped"

    def end_runs(self, key: str) -> None:
        for event in self.events:
            if event.key == key and event.state == "running":
                event.state = "succeeded"


MODES = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("batch"), "size": st.integers(2, 4), "seconds": st.integers(1, 20)}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("latest"), "quiet": st.integers(1, 10), "at_most": st.integers(10, 30)}
    ),
    st.fixed_dictionaries(
        {"kind": st.just("one"), "when_busy": st.sampled_from(["queue", "skip", "cancel-running"])}
    ),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.sampled_from(KEYS), st.integers(0, 8)),
        st.tuples(st.just("cancel"), st.sampled_from(KEYS), st.integers(0, 8)),
        st.tuples(st.just("look")),
        st.tuples(st.just("end"), st.sampled_from(KEYS)),
    ),
    max_size=14,
)


def fields_of(mode: dict[str, Any]) -> dict[str, Any]:
    none = dict.fromkeys(
        ("batch_size", "batch_seconds", "latest_by", "quiet_seconds", "at_most_seconds", "one_at_a_time")
    )
    if mode["kind"] == "batch":
        return none | {"batch_size": mode["size"], "batch_seconds": mode["seconds"], "cancel_on": None}
    if mode["kind"] == "latest":
        timing = {"quiet_seconds": mode["quiet"], "at_most_seconds": mode["at_most"]}
        return none | {"latest_by": "key", "cancel_on": None} | timing
    return none | {"one_at_a_time": "key", "when_busy": mode["when_busy"], "cancel_on": "true"}


STATES = {"batch": "batched", "latest": "settling", "one": "in_turn"}


class Stream:
    """One stream of events, for the model and for the database."""

    def __init__(self, hook, mode: dict[str, Any]) -> None:
        self.hook, self.mode = hook, mode
        self.model, self.clock = Model(mode), Clock()
        self.works = Works(self.clock)
        change_webhook(hook.id, **fields_of(mode))

    @property
    def now(self) -> float:
        return (self.clock.at - AT).total_seconds()

    def arrive(self, key: str, seconds: int, *, cancels: bool) -> None:
        self.clock.at += timedelta(seconds=seconds)
        number = len(self.model.events)
        self.model.events.append(Event(number, key, self.now, cancels))
        insert(self.hook, number, STATES[self.mode["kind"]], key, self.clock.at, cancels)

    def look(self) -> None:
        self.model.look(self.now)
        self.works.decide()
        start_runs()

    def end(self, key: str) -> None:
        self.model.end_runs(key)
        finish_runs(key)

    def play(self, steps: list[tuple[Any, ...]]) -> None:
        for name, *arguments in steps:
            if name == "look":
                self.look()
            elif name == "end":
                self.end(*arguments)
            elif name == "event" or self.mode["kind"] == "one":
                self.arrive(*arguments, cancels=name == "cancel")
        # In the end everything has its turn, however long nothing looked.
        self.clock.at += timedelta(days=1)
        for _ in range(len(self.model.events) + 1):
            self.look()
            for key in KEYS:
                self.end(key)


def insert(hook, number: int, state: str, key: str, at, cancels: bool) -> None:
    from tests.infrastructure.webhooks_builder import store_deliveries

    conf = None if cancels else "{}"
    group = {"group_key": key_of(key), "next_attempt_at": None, "received_at": at}
    store_deliveries(hook, ids=[f"{number:032}"], state=state, conf=conf, **group)


def start_runs() -> None:
    """What the dispatcher does, without the runs: all that is due is dispatched, batches as a whole."""
    _execute(_deliveries().c.state == "accepted", state="dispatched", next_attempt_at=None)


def finish_runs(key: str) -> None:
    columns = _deliveries().c
    ends = (columns.state == "dispatched") & (columns.group_key == key_of(key))
    _execute(ends, state="succeeded")


def _deliveries():
    from inbound_webhooks.storage import tables

    return tables.delivery


def _execute(condition: Any, **values: Any) -> None:
    from airflow import settings as airflow_settings

    with airflow_settings.engine.begin() as connection:
        connection.execute(_deliveries().update().where(condition).values(**values))


def stored() -> list[tuple[str, str | None]]:
    from tests.infrastructure.webhooks_builder import rows

    return [(row.state, row.batch_id) for row in rows("delivery")]


@pytest.fixture
def hook(sqlite_database):
    store_dag("orders")
    return store_webhook()


@settings(
    max_examples=settings.default.max_examples * 2 // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(mode=MODES, steps=STEPS)
def test_each_event_becomes_what_the_model_says(hook, mode, steps):
    from airflow import settings as airflow_settings

    with airflow_settings.engine.begin() as connection:
        connection.execute(_deliveries().delete())
    stream = Stream(hook, mode)
    stream.play(steps)
    found = stored()
    assert [state for state, _ in found] == [event.state for event in stream.model.events]
    if mode["kind"] == "batch":
        runs = [f"{event.run:032}" for event in stream.model.events]
        assert [batch_id for _, batch_id in found] == runs
