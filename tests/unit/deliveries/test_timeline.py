"""The steps of a delivery: which there are, when they were, and how long each took."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from inbound_webhooks.deliveries.timeline import RunTimes, timeline, verified_at
from inbound_webhooks.storage.listing import first_id_at

AT = datetime(2026, 11, 24, 10, tzinfo=timezone.utc)
NOTHING = RunTimes()


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def row(**fields: Any) -> Any:
    base = {
        "id": first_id_at(after(0.002)),
        "state": "accepted",
        "received_at": AT,
        "accepted_at": after(0.003),
        "replay_of": None,
        "run_id": None,
        "dispatched_at": None,
        "finished_at": None,
    }
    usual = {"wait_id": None, "dag_id": "orders", "asset": None, "cancelled_by": None}
    return SimpleNamespace(**usual | base | fields)


def mail(**fields: Any) -> Any:
    return SimpleNamespace(**{"state": "waiting", "sent_at": None} | fields)


def names(steps: Any) -> list[str]:
    return [step.name for step in steps]


def test_a_run_that_ended_has_all_steps_with_their_durations():
    delivery = row(state="succeeded", run_id="webhook__1", dispatched_at=after(0.05), finished_at=after(4))
    run = RunTimes(started_at=after(1), first_task_at=after(1.5), ended_at=after(4))
    steps = timeline(delivery, "succeeded", run, [mail(state="sent", sent_at=after(6))])
    assert names(steps) == [
        "Received",
        "Verified",
        "Accepted",
        "Run created",
        "Run started",
        "First task started",
        "Run succeeded",
        "Notified",
    ]
    assert [step.seconds for step in steps] == [
        None,
        *map(pytest.approx, (0.002, 0.001, 0.047, 0.95, 0.5, 2.5, 2.0)),
    ]
    assert all(step.is_done and not step.is_bad for step in steps)


def test_what_is_still_to_come_is_there_and_not_done():
    steps = timeline(row(), "accepted", NOTHING, [])
    assert [step.name for step in steps if not step.is_done] == [
        "Run created",
        "Run started",
        "First task started",
        "Run ended",
    ]


@pytest.mark.parametrize(
    ("state", "last"),
    [
        ("refused", "Refused"),
        ("filtered", "Filtered"),
        ("undeliverable", "Given up"),
        ("cancelled", "Cancelled"),
    ],
)
def test_a_delivery_without_a_run_ends_where_it_ended(state, last):
    delivery = row(state=state, finished_at=after(60) if state == "undeliverable" else None)
    steps = timeline(delivery, state, NOTHING, [])
    assert steps[-1].name == last
    assert all(step.is_done for step in steps)
    assert steps[-1].is_bad == (state in ("refused", "undeliverable"))


def test_a_run_that_failed_before_any_task_started_waits_for_none():
    delivery = row(state="failed", run_id="webhook__1", dispatched_at=after(1))
    steps = timeline(delivery, "failed", RunTimes(started_at=after(2), ended_at=after(3)), [])
    assert names(steps)[-2:] == ["Run started", "Run failed"]
    assert steps[-1].is_bad


def test_a_replay_has_no_sender_to_verify():
    steps = timeline(row(replay_of="f" * 32), "accepted", NOTHING, [])
    assert names(steps)[:2] == ["Replayed", "Accepted"]


def test_an_older_delivery_has_steps_without_a_time():
    steps = timeline(
        row(accepted_at=None, dispatched_at=after(1), run_id="webhook__1"), "running", NOTHING, []
    )
    assert [(step.name, step.at, step.is_done) for step in steps[2:4]] == [
        ("Accepted", None, True),
        ("Run created", after(1), True),
    ]
    assert steps[3].seconds == pytest.approx(0.998)


def test_clocks_that_differ_make_no_negative_duration():
    steps = timeline(row(dispatched_at=after(-5), run_id="webhook__1"), "queued", NOTHING, [])
    assert min(step.seconds for step in steps if step.seconds is not None) == 0


@pytest.mark.parametrize("delivery_id", [first_id_at(after(3600)), "x" * 32, "", "f" * 32])
def test_an_id_that_was_not_made_for_the_request_gives_no_time_of_verification(delivery_id):
    assert verified_at(row(id=delivery_id)) is None


def test_mails_that_are_on_their_way_are_counted():
    mails = [mail(state="sent", sent_at=after(3)), mail()]
    step = timeline(row(state="refused"), "refused", NOTHING, mails)[-1]
    assert (step.name, step.is_done) == ("Notified (1 of 2 mails)", False)
    settled = timeline(row(state="refused"), "refused", NOTHING, [mails[0], mail(state="given_up")])[-1]
    assert (settled.name, settled.is_done) == ("Notified (1 of 2 mails)", True)


@pytest.mark.parametrize(
    ("state", "name", "at"),
    [
        ("split", "Split", after(0.003)),
        ("superseded", "Superseded", after(9)),
        ("skipped", "Skipped", after(9)),
        ("unmatched", "Unmatched", after(9)),
    ],
)
@pytest.mark.parametrize("asset", [None, "orders"])
def test_the_timeline_of_a_delivery_without_a_run_ends_with_its_time(state, name, at, asset):
    finished_at = None if state == "split" else after(9)
    last = timeline(row(state=state, finished_at=finished_at, asset=asset), state, NOTHING, [])[-1]
    assert (last.name, last.at) == (name, at)
