"""The steps of a delivery, from the request to the notifications, with their times and durations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from inbound_webhooks.records.delivery import State
from inbound_webhooks.records.target import serves_waits_only
from inbound_webhooks.storage.mails import Mail, MailState

_TIME_CHARS = 12
"""Hex digits of a delivery's id that are its time in milliseconds (UUID version 7)."""

LONGEST_VERIFICATION = timedelta(minutes=5)
"""An id that is further away from the request's arrival was not made for it."""


@dataclass(frozen=True, kw_only=True)
class RunTimes:
    """When a run started, its first task started, and it ended; None for what has not happened."""

    started_at: datetime | None = None
    first_task_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step; ``at`` is None for one that is still to come, or whose time is not known.

    ``seconds`` have passed since the step before that has a time.
    """

    name: str
    at: datetime | None = None
    seconds: float | None = None
    is_done: bool = True
    help: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether a user has to look at it."""
        return self.is_done and self.name in _BAD


def timeline(delivery: Any, state: str, run: RunTimes, mails: Sequence[Mail]) -> list[Step]:
    """The steps of a delivery, in order.

    :param state: the delivery's state, or the state of its run where that is ahead
    """
    return list(_with_durations(_steps(delivery, state, run, mails)))


def verified_at(delivery: Any) -> datetime | None:
    """When the sender was verified: a delivery gets its id right after that."""
    if delivery.replay_of is not None:
        return None
    try:
        milliseconds = int(delivery.id[:_TIME_CHARS], 16)
        at = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (ValueError, OverflowError):
        return None
    received: datetime = delivery.received_at
    if abs(at - received) > LONGEST_VERIFICATION:
        return None
    # Ids have milliseconds, arrivals have microseconds.
    return max(at, received)


def _steps(delivery: Any, state: str, run: RunTimes, mails: Sequence[Mail]) -> Iterator[Step]:
    if delivery.replay_of is None:
        yield Step(name="Received", at=delivery.received_at, help="The request was there, body included.")
        if (at := verified_at(delivery)) is not None:
            yield Step(name="Verified", at=at, help="Its sender was verified, and its limits were checked.")
    else:
        yield Step(name="Replayed", at=delivery.received_at, help="A user replayed another delivery.")
    decided = {State.REFUSED: "Refused", State.FILTERED: "Filtered"}.get(delivery.state, "Accepted")
    yield Step(name=decided, at=delivery.accepted_at, help=_DECIDED)
    if decided == "Accepted":
        if delivery.wait_id or serves_waits_only(delivery):
            yield from _call_steps(delivery)
        elif delivery.asset is not None:
            yield _event_step(delivery)
        else:
            yield from _run_steps(delivery, state, run)
    if mails:
        yield _notified(mails)


_WITHOUT_A_RUN = {
    State.SPLIT: ("Split", "It became several deliveries."),
    State.SUPERSEDED: ("Superseded", "A newer event of its key ran instead."),
    State.SKIPPED: ("Skipped", "A run of its key was active, or it only cancelled runs."),
    State.UNMATCHED: ("Unmatched", "No task waited for it."),
}
"""State that ends a delivery without a run -> name of its step, and what it means."""


_WAITING = {State.BATCHED: "Batch closed", State.SETTLING: "Settled", State.IN_TURN: "Its turn"}
"""State of a delivery that waits for others -> the step that it waits for."""


def _ended_without_a_run(delivery: Any) -> Step | None:
    if delivery.state not in _WITHOUT_A_RUN:
        return None
    name, meaning = _WITHOUT_A_RUN[delivery.state]
    # A delivery is split when it is stored.
    at = delivery.accepted_at if delivery.state == State.SPLIT else delivery.finished_at
    return Step(name=name, at=at, help=meaning)


def _call_steps(delivery: Any) -> Iterator[Step]:
    if delivery.state == State.CANCELLED:
        yield Step(name="Cancelled", at=delivery.finished_at, help="Its task did not wait any more.")
        return
    if (without_a_run := _ended_without_a_run(delivery)) is not None:
        yield without_a_run
        return
    is_done = delivery.state != State.ACCEPTED
    name = "Task failed" if delivery.state == State.FAILED else "Task resumed"
    yield Step(name=name, at=delivery.dispatched_at, is_done=is_done, help="The waiting task went on.")


def _event_step(delivery: Any) -> Step:
    if delivery.state == State.CANCELLED:
        return Step(name="Cancelled", help="The webhook was deleted before the event was created.")
    if (without_a_run := _ended_without_a_run(delivery)) is not None:
        return without_a_run
    if delivery.state == State.UNDELIVERABLE:
        return Step(name="Given up", at=delivery.finished_at, help="No event could be created.")
    is_done = delivery.asset_event_id is not None
    return Step(
        name="Event created", at=delivery.dispatched_at, is_done=is_done, help="Airflow has the event."
    )


def _run_steps(delivery: Any, state: str, run: RunTimes) -> Iterator[Step]:
    if delivery.state == State.CANCELLED:
        what = "run" if delivery.run_id else "delivery"
        by = "An event cancelled the" if delivery.cancelled_by else "The webhook was deleted, and with it the"
        if delivery.run_id:
            yield Step(name="Run created", at=delivery.dispatched_at)
        yield Step(name="Cancelled", at=delivery.finished_at, help=f"{by} {what}.")
        return
    if (without_a_run := _ended_without_a_run(delivery)) is not None:
        yield without_a_run
        return
    if delivery.state == State.UNDELIVERABLE:
        yield Step(name="Given up", at=delivery.finished_at, help="No run could be created.")
        return
    if delivery.state in _WAITING:
        yield Step(name=_WAITING[delivery.state], is_done=False, help="It waits for others of its group.")
    has_ended = state in (State.SUCCEEDED, State.FAILED)
    created, started = delivery.dispatched_at, run.started_at
    yield Step(name="Run created", at=created, is_done=delivery.run_id is not None)
    yield Step(name="Run started", at=started, is_done=started is not None or has_ended)
    if run.first_task_at is not None or not has_ended:
        yield Step(name="First task started", at=run.first_task_at, is_done=run.first_task_at is not None)
    ended = {State.SUCCEEDED: "Run succeeded", State.FAILED: "Run failed"}.get(state, "Run ended")
    yield Step(name=ended, at=run.ended_at, is_done=has_ended)


def _notified(mails: Sequence[Mail]) -> Step:
    sent = [mail.sent_at for mail in mails if mail.sent_at is not None]
    is_done = all(mail.state != MailState.WAITING for mail in mails)
    name = f"Notified ({len(sent)} of {len(mails)} mails)" if len(sent) < len(mails) else "Notified"
    return Step(name=name, at=max(sent, default=None), is_done=is_done, help="The mail server took the mail.")


def _with_durations(steps: Iterator[Step]) -> Iterator[Step]:
    last: datetime | None = None
    for step in steps:
        if step.at is None:
            yield step
            continue
        # Clocks of several hosts may differ: no step takes less than no time.
        passed = None if last is None else max((step.at - last).total_seconds(), 0.0)
        last = step.at
        yield replace(step, seconds=passed)


_BAD = {"Refused", "Given up", "Run failed"}
_DECIDED = (
    "Filter and conf were computed, and the delivery was handed to the database. The response followed."
)
