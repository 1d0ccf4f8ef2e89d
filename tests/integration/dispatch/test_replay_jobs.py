"""Replays of many deliveries: each once, in turns, within the limits, and only what the user may replay."""

from __future__ import annotations

import json
import threading
from collections import Counter

import pytest

from tests.infrastructure.webhooks_builder import (
    ACTOR,
    audit_rows,
    change_webhook,
    delivery,
    now,
    rows,
    states,
    store_deliveries,
    store_webhook,
)


@pytest.fixture(autouse=True)
def _fresh_receiver(database):
    from inbound_webhooks.receiver.instance import forget_receiver

    forget_receiver()
    yield
    forget_receiver()


def start(*pairs: tuple[str, str], remap: bool = False, **how):
    from inbound_webhooks.deliveries import replay_jobs
    from inbound_webhooks.records.delivery_filter import parse

    where = {} if "ids" in how else {"where": parse(pairs)}
    return replay_jobs.start(**{"access": None, "actor": ACTOR, "remap": remap} | where | how)


def worker(**how):
    from inbound_webhooks.dispatch.replay_jobs import ReplayJobs

    return ReplayJobs(pause=lambda _: None, **how)


def process(rounds: int = 1_000) -> int:
    """Process all jobs; return the number of batches."""
    work = worker()
    return next(number for number in range(rounds) if not work.process_due())


def report(job):
    from inbound_webhooks.deliveries import replay_jobs

    return replay_jobs.report(job.id, None, ACTOR)


def progress(job) -> dict[str, int]:
    return {state: number for state, number in report(job).progress.items() if number}


def replays() -> list:
    return [row for row in rows("delivery") if row.replay_of]


def execute(statement) -> None:
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        connection.execute(statement)


def dispatch(delivery_ids) -> None:
    """Let deliveries no longer wait for their run."""
    from inbound_webhooks.storage import tables

    table = tables.delivery
    execute(table.update().where(table.c.id.in_(list(delivery_ids))).values(state="succeeded"))


def test_each_delivery_of_a_filter_is_replayed_once_oldest_first():
    hook = store_webhook()
    failed = store_deliveries(hook, 45, state="failed", conf='{"a": 1}')
    store_deliveries(hook, 3, state="succeeded")
    job = start(("state", "failed"))
    assert process() == 3
    assert [row.replay_of for row in replays()] == failed
    assert {(row.state, row.conf) for row in replays()} == {("accepted", '{"a": 1}')}
    assert progress(job) == {"replayed": 45}
    assert (report(job).job.state, report(job).job.total) == ("completed", 45)
    assert process() == 0


def test_one_audit_entry_has_the_filter():
    hook = store_webhook()
    store_deliveries(hook, 3, state="failed")
    before = len(audit_rows())
    job = start(("state", "failed"), ("webhook", hook.name))
    process()
    [entry] = audit_rows()[before:]
    assert (entry.event, entry.owner) == ("webhook.replay_job", ACTOR)
    details = json.loads(entry.extra)
    assert details["job"] == job.id
    assert details["deliveries"] == 3
    assert sorted(details["where"]) == [["state", "failed"], ["webhook", hook.name]]


def test_selected_deliveries_are_replayed_with_the_current_mapping():
    hook = store_webhook(mapping={"number": "${Webhook::Body.n}"})
    json_header = json.dumps([["Content-Type", "application/json"]])
    stored = store_deliveries(hook, 3, state="failed", body=b'{"n": 7}', headers=json_header)
    start(ids=stored[:2], remap=True)
    process()
    assert [(row.replay_of, row.conf) for row in replays()] == [(each, '{"number":7}') for each in stored[:2]]


def test_the_report_says_why_deliveries_were_not_replayed():
    from inbound_webhooks.storage import tables
    from inbound_webhooks.webhooks import service

    gone, off, good = store_webhook("gone"), store_webhook("off"), store_webhook("good")
    store_deliveries(gone, 2, state="failed")
    store_deliveries(off, 3, state="failed")
    store_deliveries(good, 1, state="failed", conf=None, body_stored=False)
    [running] = store_deliveries(good, 1, state="failed")
    [deleted] = store_deliveries(good, 1, state="failed")
    job = start(("state", "failed"))
    service.delete("gone", actor=ACTOR)
    change_webhook(off.id, enabled=False)
    table = tables.delivery
    execute(table.update().where(table.c.id == running).values(state="dispatched"))
    execute(table.delete().where(table.c.id == deleted))
    process()
    assert progress(job) == {"refused": 6, "skipped": 2}
    causes = Counter(
        {(cause.state, cause.reason.split(" (")[0]): cause.number for cause in report(job).causes}
    )
    assert causes == {
        ("refused", "The webhook 'off' is disabled. Enable it first."): 3,
        ("refused", "The webhook of this delivery was deleted."): 2,
        ("refused", "Its body was not stored"): 1,
        ("skipped", "Its own run has not ended."): 1,
        ("skipped", "The delivery was deleted."): 1,
    }


def test_after_a_cancellation_nothing_more_is_replayed():
    from inbound_webhooks.deliveries import replay_jobs

    store_deliveries(store_webhook(), 45, state="failed")
    job = start(("state", "failed"))
    work = worker()
    assert work.process_due()
    assert replay_jobs.cancel(job.id, None, ACTOR)
    assert not work.process_due()
    assert progress(job) == {"replayed": 20, "waiting": 25}
    assert report(job).job.state == "cancelled"
    assert not replay_jobs.cancel(job.id, None, ACTOR)
    assert [entry.event for entry in audit_rows()][-1] == "webhook.replay_job_cancel"


def test_a_batch_that_runs_during_the_cancellation_replays_nothing_more():
    from inbound_webhooks.deliveries import replay_jobs
    from inbound_webhooks.receiver.instance import get_receiver

    store_deliveries(store_webhook(), 2, state="failed")
    job = start(("state", "failed"))
    [first, second] = items(job)
    assert replay_jobs.replay_item(get_receiver(), job, first, None)
    replay_jobs.cancel(job.id, None, ACTOR)
    assert not replay_jobs.replay_item(get_receiver(), job, second, None)
    assert len(replays()) == 1


def items(job) -> list:
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.replay_jobs import waiting_items

    with transaction() as connection:
        return waiting_items(connection, job.id, without_webhooks=(), limit=100)


def test_processes_that_have_the_same_deliveries_replay_each_once():
    from inbound_webhooks.deliveries import replay_jobs
    from inbound_webhooks.receiver.instance import get_receiver

    store_deliveries(store_webhook(), 20, state="failed")
    job = start(("state", "failed"))
    todo, receiver = items(job), get_receiver()
    done: list[bool] = []

    def work() -> None:
        for item in todo:
            done.append(replay_jobs.replay_item(receiver, job, item, None))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(done) == {True: 20, False: 60}
    assert len(replays()) == len({row.replay_of for row in replays()}) == 20


def test_a_replay_that_is_not_committed_leaves_its_delivery_to_be_replayed():
    from inbound_webhooks.deliveries import replay_jobs
    from inbound_webhooks.receiver.instance import get_receiver

    class Killed(Exception):
        pass

    store_deliveries(store_webhook(), 1, state="failed")
    job = start(("state", "failed"))
    receiver = get_receiver()

    class DyingInbox:
        def commit_claimed(self, delivery, version, claim, children=()):
            def claim_and_die(connection):
                claim(connection)
                raise Killed

            return receiver.inbox.commit_claimed(delivery, version, claim_and_die, children)

    class Endpoint:
        judging, inbox = receiver.judging, DyingInbox()

    with pytest.raises(Killed):
        replay_jobs.replay_item(Endpoint(), job, items(job)[0], None)
    assert (replays(), progress(job)) == ([], {"waiting": 1})
    process()
    assert (len(replays()), progress(job)) == (1, {"replayed": 1})


def test_another_dispatcher_goes_on_when_the_lease_of_a_dead_one_is_over():
    from datetime import timedelta

    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.replay_jobs import LEASE, lease_job

    store_deliveries(store_webhook(), 1, state="failed")
    job = start(("state", "failed"))
    with transaction() as connection:
        assert lease_job(connection, job, now())
        assert not lease_job(connection, job, now())
    assert not worker().process_due()
    assert worker(now=lambda: now() + LEASE).process_due()
    assert progress(job) == {"replayed": 1}
    # A clock that was ahead cannot keep a job for longer than that.
    store_deliveries(store_webhook("second"), 1, state="failed")
    ahead = start(("webhook", "second"))
    with transaction() as connection:
        lease_job(connection, ahead, now() + timedelta(days=1))
    assert worker().process_due()


def test_jobs_take_turns():
    hooks = [store_webhook("large"), store_webhook("small", dag_id="payments")]
    store_deliveries(hooks[0], 100, state="failed")
    store_deliveries(hooks[1], 5, state="failed", dag_id="payments")
    large, small = start(("webhook", "large")), start(("webhook", "small"))
    work = worker()
    for _ in range(2):
        work.process_due()
    assert (progress(large), progress(small)) == ({"replayed": 20, "waiting": 80}, {"replayed": 5})


def test_a_webhook_whose_replays_wait_for_their_runs_gets_no_further_ones_and_the_others_do():
    from inbound_webhooks.dispatch.replay_jobs import MAX_WAITING

    store_deliveries(store_webhook("slow"), 120, state="failed")
    store_deliveries(store_webhook("quick"), 10, state="failed")
    job = start(("state", "failed"))
    process()
    assert progress(job) == {"replayed": MAX_WAITING + 10, "waiting": 120 - MAX_WAITING}
    dispatch(row.id for row in replays())
    resume(job)
    process()
    assert progress(job)["replayed"] == 2 * MAX_WAITING + 10


def resume(job) -> None:
    """End the pause of a job that found no room."""
    from inbound_webhooks.storage import tables

    execute(tables.replay_job.update().where(tables.replay_job.c.id == job.id).values(next_at=now()))


@pytest.mark.parametrize("limit", [{"max_backlog": 7}, {"max_per_second": 7}])
def test_a_job_respects_the_limits_of_a_webhook(limit):
    hook = store_webhook(**limit)
    store_deliveries(hook, 30, state="failed")
    job = start(("state", "failed"))
    worker().process_due()
    assert 7 <= progress(job)["replayed"] <= 14  # a second may end in between
    assert progress(job)["waiting"] >= 16


def test_a_job_has_a_limit_and_so_have_running_jobs(monkeypatch):
    from inbound_webhooks.errors import ReplayJobRefused

    store_deliveries(store_webhook(), 4, state="failed")
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_REPLAY_DELIVERIES", "3")
    with pytest.raises(ReplayJobRefused, match="more than 3"):
        start(("state", "failed"))
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_REPLAY_DELIVERIES", "4")
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_REPLAY_JOBS", "3")
    start(("state", "failed"), actor="ada")
    with pytest.raises(ReplayJobRefused, match="of your replay jobs"):
        start(("state", "failed"), actor="ada")
    start(("state", "failed"), actor="bob")
    start(("state", "failed"), actor="eve")
    with pytest.raises(ReplayJobRefused, match="3 replay jobs are running"):
        start(("state", "failed"), actor="joe")
    process()
    start(("state", "failed"), actor="ada")


def test_a_job_without_deliveries_is_not_started():
    from inbound_webhooks.errors import ReplayJobRefused

    store_webhook()
    for how in ({}, {"ids": ["f" * 32]}):
        with pytest.raises(ReplayJobRefused, match="no such delivery"):
            start(**how)
    assert rows("replay_job") == []


def test_old_jobs_are_deleted_with_their_deliveries():
    from datetime import timedelta

    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    hook = store_webhook()
    store_deliveries(hook, 2, state="failed")
    start(("state", "failed"))
    process()
    dispatch(row.id for row in replays())
    RetentionJob(Settings.load(), now=lambda: now() + timedelta(days=29)).clean()
    assert len(rows("replay_job")) == 1
    RetentionJob(Settings.load(), now=lambda: now() + timedelta(days=31)).clean()
    with transaction() as connection:
        left = list(connection.execute(tables.replay_item.select()))
    assert (rows("replay_job"), left) == ([], [])


def test_a_replay_takes_the_key_of_its_event_unless_another_delivery_has_it():
    hook = store_webhook(dedup="${Webhook::Body}")
    refused = store_deliveries(hook, 2, state="refused", body=b"same", conf=None)
    start(ids=refused)
    process()
    assert [row.dedup_key is None for row in replays()] == [False, True]
    assert states().count("accepted") == 2
    assert delivery(refused[0]).state == "refused"


def test_what_was_split_is_left_out_and_its_children_are_replayed():
    hook = store_webhook()
    (parent,) = store_deliveries(hook, 1, state="split", conf=None)
    children = store_deliveries(hook, 2, state="failed", parent_id=parent)
    job = start(("webhook", hook.name))
    process()
    assert sorted(row.replay_of for row in replays()) == sorted(children)
    assert progress(job) == {"replayed": 2, "skipped": 1}
