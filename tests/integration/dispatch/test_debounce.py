"""Only the newest event of a key runs, once no more follow or the first one has waited long enough."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.groups_builder import LATEST, Works, runs_by_id, states_of, waiting
from tests.infrastructure.webhooks_builder import delivery, store_webhook
from tests.integration.dispatch.conftest import AT


@pytest.fixture
def works(database, clock) -> Works:
    store_dag("orders")
    return Works(clock)


@pytest.fixture
def hook(works):
    return store_webhook(**LATEST)


def settling(hook, seconds: float, key="a") -> str:
    return waiting(hook, "settling", AT + timedelta(seconds=seconds), key=key)


def test_only_the_newest_event_runs_after_the_quiet_period(hook, works):
    ids = [settling(hook, seconds) for seconds in (0, 3, 6)]
    works.after(15)
    assert states_of(*ids) == ["settling"] * 3
    works.after(1)
    assert states_of(*ids) == ["superseded", "superseded", "dispatched"]
    assert list(runs_by_id()) == [f"webhook__{ids[2]}"]


def test_those_that_did_not_run_name_the_one_that_did(hook, works):
    first, second = settling(hook, 0), settling(hook, 1)
    works.after(60)
    assert (delivery(first).superseded_by, delivery(second).superseded_by) == (second, None)


def test_a_steady_stream_runs_after_the_longest_time(hook, works):
    ids = []
    for seconds in range(0, 35, 5):
        ids.append(settling(hook, seconds))
        works.clock.at = AT + timedelta(seconds=seconds)
        works.work()
    assert states_of(*ids) == ["superseded"] * 6 + ["dispatched"]


def test_keys_settle_by_themselves(hook, works):
    a, b = settling(hook, 0, "a"), settling(hook, 9, "b")
    works.after(10)
    assert states_of(a, b) == ["dispatched", "settling"]


def test_after_an_outage_only_the_newest_runs(hook, works):
    ids = [settling(hook, seconds) for seconds in (0, 100, 200)]
    works.after(1000)
    assert states_of(*ids) == ["superseded", "superseded", "dispatched"]


def test_a_later_event_begins_a_new_group(hook, works):
    first = settling(hook, 0)
    works.after(10)
    second = settling(hook, 11)
    works.after(20)
    assert states_of(first, second) == ["dispatched"] * 2
