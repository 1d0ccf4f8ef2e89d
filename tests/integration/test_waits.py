"""Waiting tasks as users see them: listed, shown on a tab, resumed by hand, and forgotten."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.infrastructure.waits_builder import (
    STARTING,
    change_task,
    event_of,
    store_waiting_task,
    stored_wait,
    task_of,
    tasks_at,
    wait_of,
)
from tests.infrastructure.webhooks_builder import audit_rows, now, rows


def test_a_wait_is_listed_while_its_task_waits(webhooks, database):
    waiting = stored_wait()
    (listed,) = json.loads(webhooks("waits", "-o", "json").out)
    assert (listed["id"], listed["state"], listed["delivery_id"]) == (waiting.id, "waiting", None)
    assert (listed["dag_id"], listed["run_id"], listed["task_id"]) == ("training", "manual", "work")
    assert listed["page"].endswith("/dags/training/runs/manual/tasks/work")


def test_a_task_is_listed_while_its_function_runs(webhooks, sqlite_database):
    stored_wait(**STARTING)
    assert json.loads(webhooks("waits", "--state", "waiting", "-o", "json").out) != []


def test_no_output_has_the_token_or_its_hash(webhooks, sqlite_database):
    waiting = stored_wait()
    out = webhooks("waits", waiting.id, "-o", "json").out
    assert waiting.token not in out
    assert rows("wait")[0].token_sha256 not in out


def test_a_task_that_began_to_wait_a_moment_ago_is_not_resumed(webhooks, sqlite_database):
    waiting = stored_wait()
    change_task(waiting, updated_at=now())
    done = webhooks("waits", waiting.id, "--resume")
    assert (done.status, "Try again in 10 seconds" in done.err) == (1, True)


def test_a_user_resumes_a_task_without_a_call(webhooks, database):
    waiting = stored_wait()
    done = webhooks("waits", waiting.id, "--resume", "-o", "json")
    assert (done.status, json.loads(done.out)["state"]) == (0, "resumed")
    event = event_of(waiting)
    assert (json.loads(event["outcome"]), event["resumed_by"]) == ({"result": None}, "alice")
    assert task_of(waiting.run_id).state == "scheduled"
    (entry,) = audit_rows()
    assert (entry.event, entry.dag_id, entry.owner) == ("webhook.resume_task", "training", "alice")
    assert json.loads(entry.extra)["task_id"] == "work"


@pytest.mark.parametrize(
    "columns",
    [STARTING, {"state": "success", "next_method": None}],
    ids=["its function still runs", "it has ended"],
)
def test_a_task_that_does_not_wait_cannot_be_resumed(webhooks, sqlite_database, columns):
    waiting = stored_wait()
    change_task(waiting, **columns)
    done = webhooks("waits", waiting.id, "--resume")
    assert (done.status, done.err) == (1, "The task is not waiting, or its call has come already.\n")
    assert event_of(waiting) is None


def test_an_unknown_wait_is_an_error(webhooks, sqlite_database):
    done = webhooks("waits", "0" * 32)
    assert (done.status, done.err) == (1, "There is no such wait, or you may not see its DAG.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume",), "--resume needs a WAIT_ID.\n"),
        (("--state", "odd"), "--state must be one of waiting, resumed, timed_out, ended, refused.\n"),
        (("--limit", "0"), "--limit must be at least 1.\n"),
    ],
)
def test_a_wrong_call_exits_with_2(webhooks, sqlite_database, arguments, message):
    done = webhooks("waits", *arguments)
    assert (done.status, done.err) == (2, message)


def test_the_retention_deletes_waits_that_ended_long_ago(database):
    from inbound_webhooks.dispatch.retention import RetentionJob
    from inbound_webhooks.settings import Settings

    old, waiting = stored_wait(run_id="old"), store_waiting_task(run_id="waiting")
    change_task(old, state="failed", next_method=None)
    tasks_at().review()
    assert (wait_of(old).state, wait_of(waiting).state) == ("ended", "waiting")
    RetentionJob(Settings(), now=lambda: now() + timedelta(days=31)).clean()
    assert (wait_of(old), wait_of(waiting).state) == (None, "waiting")
