"""No unexpected error ends a long-lived thread: each step of each one raises, and the thread goes on."""

from __future__ import annotations

import ast
import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.webhooks_builder import now, rows, states, store_delivery, store_webhook

PACKAGE = CHECKOUT / "plugins" / "inbound_webhooks"
STARTS = ("Thread", "Timer", "create_task", "ensure_future", "run_in_executor", "call_soon_threadsafe")
LOOPS = [
    *("dispatcher", "outcomes", "retention", "mails", "keys", "drift", "replays", "activity", "waits"),
    *("holds", "dags", "groups"),
]


class OddError(Exception):
    """An error that nothing expects; its text is not for the log."""


class FailingClock:
    """Tells the time, and raises at one of its calls; ``calls`` counts them."""

    def __init__(self) -> None:
        self.fails_at = 0
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.calls == self.fails_at:
            raise OddError("a canary")
        return now()

    def fail_at(self, call: int) -> None:
        self.calls, self.fails_at = 0, call


# --- all of them run in the one loop --------------------------------------------------------


def started_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in STARTS:
                yield f"{path.relative_to(PACKAGE)}: {name}"


def test_threads_and_tasks_are_started_by_the_loop_alone():
    """The others end with the request or the fetch that waits for them."""
    started = {found for path in PACKAGE.rglob("*.py") for found in started_in(path)}
    assert started == {
        "monitoring/loop.py: Thread",
        "monitoring/loop.py: create_task",
        "deliveries/store/batcher.py: ensure_future",
        "deliveries/store/apart.py: ensure_future",
        "dispatch/key_fetch.py: Thread",
        "dispatch/key_fetch.py: call_soon_threadsafe",
        "receiver/asgi/disconnects.py: ensure_future",
        "receiver/captures.py: ensure_future",
        "receiver/stopping.py: call_soon_threadsafe",
        "receiver/waiters.py: ensure_future",
        "webhooks/compiled.py: ensure_future",
    }


# --- each step raises -----------------------------------------------------------------------


def make_service(clock):
    from inbound_webhooks.dispatch.service import DispatchService
    from inbound_webhooks.settings import Settings

    service = DispatchService(Settings(dispatcher_poll_seconds=0.05), now=clock)
    return {loop.name: loop for loop in service.loops}


def test_the_service_has_these_loops(sqlite_database):
    assert list(make_service(now)) == LOOPS


@pytest.fixture
def work_for_all(database, monkeypatch):
    """Something to do for each loop: a delivery, a mail and a webhook with fetched keys."""
    from tests.integration.dispatch.test_notifications import store_mail

    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", "smtp://127.0.0.1:1?timeout=1")
    store_dag("orders")
    hook = store_webhook(notify_failure=["a@example.com"])
    store_delivery(hook)
    store_delivery(hook, state="dispatched", run_id="gone", dispatched_at=now())
    store_mail(hook=hook)


@pytest.mark.parametrize("name", LOOPS)
def test_an_error_at_any_call_of_the_clock_fails_one_round_and_the_next_one_works(work_for_all, name):
    clock = FailingClock()
    call = 0
    while True:
        call += 1
        loop = make_service(clock)[name]
        clock.fail_at(call)
        assert loop.round() <= 600
        if clock.calls < call:
            break  # a whole round asks no more often
        clock.fail_at(0)
        assert loop.round() <= 600
        assert call < 50
    clock.fail_at(0)
    if name == "dispatcher":
        loop = make_service(clock)[name]
        loop.round()
        assert "dispatched" in states()


def test_a_thread_goes_on_after_each_error_with_growing_pauses_and_says_so(caplog, environment_problems):
    from inbound_webhooks.monitoring.loop import Loop

    outcomes: list = [OddError("a canary")] * 4 + [False, OddError("a canary"), False]
    pauses: list[float] = []
    problems: list[list[str]] = []
    loop = Loop("rounds", lambda: work(), seconds=2)

    def work() -> bool:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with caplog.at_level(logging.ERROR):
        while outcomes:
            pauses.append(loop.round())
            problems.append(list(environment_problems()))
    assert pauses == [2, 4, 8, 16, 2, 2, 2]
    assert problems == [[], [], ["thread-failing-rounds"], ["thread-failing-rounds"], [], [], []]
    assert "OddError" in caplog.text
    assert "canary" not in caplog.text


def test_a_loop_that_always_fails_pauses_for_half_a_minute_at_most():
    from inbound_webhooks.monitoring.loop import Failures

    failures = Failures("rounds", seconds=5)
    assert max(failures.note(OddError()) for _ in range(2_000)) == 30
    failures.end()


def test_a_real_thread_survives_and_does_what_is_left_at_its_end():
    from inbound_webhooks.monitoring.loop import Loop

    rounds, ended = [], threading.Event()

    def work() -> bool:
        rounds.append(len(rounds))
        if len(rounds) % 2:
            raise OddError
        return True

    loop = Loop("rounds", work, seconds=0.001, at_end=ended.set)
    loop.start()
    while len(rounds) < 10:
        loop.wake()
        loop.join(0.01)
    loop.stop()
    loop.join(10)
    assert ended.is_set()
    assert [thread.name for thread in threading.enumerate() if "rounds" in thread.name] == []


def test_an_error_at_its_end_is_logged_and_the_thread_ends(caplog):
    from inbound_webhooks.monitoring.loop import Loop

    def fail() -> None:
        raise OddError

    loop = Loop("rounds", lambda: False, seconds=60, at_end=fail)
    loop.start()
    loop.stop()
    loop.join(10)
    assert "OddError" in caplog.text


def test_a_rejection_that_cannot_be_written_costs_no_other_one(database):
    from inbound_webhooks.receiver.rejections import RejectionLog
    from inbound_webhooks.records.delivery import Rejection

    rejections = RejectionLog()
    for number, reason in enumerate(("good", "half of a pair \ud800", "good too")):
        rejections.add(
            Rejection(
                webhook_id=f"webhook {number}",
                rejected_at=now(),
                source_ip="::1",
                method="POST",
                status=401,
                reason=reason,
            )
        )
    rejections.start()
    rejections.stop()
    assert [row.reason for row in rows("rejection")] == ["good", "good too"]


def test_the_figures_of_a_gateway_are_written_again_when_their_folder_is_back(tmp_path):
    from inbound_webhooks.receiver.gateway.prometheus import WorkerFigures

    folder = tmp_path / "figures"
    figures = WorkerFigures(folder)
    assert figures._loop.round() == 1
    folder.mkdir()
    figures._loop.round()
    assert len(list(folder.glob("*.json"))) == 1


def test_a_task_goes_on_after_each_error_and_ends_with_its_block():
    from inbound_webhooks.monitoring.loop import repeating

    async def run() -> int:
        rounds, enough = [], asyncio.Event()

        async def work() -> None:
            rounds.append(1)
            if len(rounds) == 4:
                enough.set()
            raise OddError

        async with repeating("rounds", work, seconds=0.001):
            await asyncio.wait_for(enough.wait(), 10)
        assert len(asyncio.all_tasks()) == 1
        return len(rounds)

    assert asyncio.run(run()) == 4


def test_one_webhook_whose_keys_cannot_be_handled_keeps_no_other_one_from_its_keys(database):
    """The first one's fetch raises what nothing expects."""
    from inbound_webhooks.dispatch.key_refresher import KeyRefresher

    for name in ("first", "second"):
        store_webhook(name, preset="google-pubsub", refresh_keys=True)
    fetched: list[str] = []

    def fetch(url: str) -> str:
        fetched.append(url)
        raise OddError

    assert KeyRefresher(fetch).refresh_due() == 0
    assert len(fetched) == 2
