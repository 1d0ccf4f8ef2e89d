"""`airflow webhooks …`: what it prints, where, and how it ends."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tests.infrastructure.command_line import one_line
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    audit_rows,
    change_webhook,
    delivery,
    now,
    rows,
    runs,
    states,
    store_delivery,
    store_webhook,
    token_of,
)


@pytest.fixture
def orders(sqlite_database):
    store_dag("orders")
    return store_webhook(mapping={"number": "${Webhook::Body.number}"})


# --- create ---------------------------------------------------------------------------------


def test_create_prints_a_json_object_with_the_url_and_nothing_else(webhooks, database):
    store_dag("orders")
    done = webhooks("create", "shop", "--dag-id", "orders", "-o", "json")
    assert (done.status, done.err) == (0, "")
    assert {name: done.json[name] for name in ("name", "dag_id", "enabled")} == {
        "name": "shop",
        "dag_id": "orders",
        "enabled": True,
    }
    assert done.json["url"].endswith(f"/webhook/{done.json['id']}/{token_of(done.json['id'])}")


def test_create_stores_all_of_its_options(webhooks, sqlite_database, tmp_path):
    from inbound_webhooks.webhooks import service

    template = tmp_path / "template"
    template.write_text("got ${Webhook::Body.a}")
    done = webhooks(
        *("create", "shop", "--dag-id", "orders", "--disabled", "--response-status", "201"),
        *("--map", "a=${Webhook::Body.a}", "--map", "b = x=y"),
        *("--response-content-type", "text/plain", "--response-template", f"@{template}"),
        *("--notify-success", "a@example.com", "--notify-failure", "b@example.com, c@example.com"),
    )
    made = service.get("shop")
    assert done.status == 0
    assert dict(made.mapping) == {"a": "${Webhook::Body.a}", "b": " x=y"}
    assert (made.enabled, made.response_status) == (False, 201)
    assert (made.response_content_type, made.response_template) == ("text/plain", "got ${Webhook::Body.a}")
    assert made.notify_success == ("a@example.com",)
    assert made.notify_failure == ("b@example.com", "c@example.com")


def test_create_warns_beside_its_output(webhooks, sqlite_database):
    done = webhooks("create", "shop", "--dag-id", "of tomorrow", "-o", "json")
    assert (done.status, done.json["dag_id"]) == (0, "of tomorrow")
    assert "of tomorrow" in done.err
    assert one_line(done.err)


WRONG_CALLS = {
    "a name that is taken": ("create", "orders of the shop", "--dag-id", "orders"),
    "a mapping without =": ("create", "x", "--dag-id", "orders", "--map", "number"),
    "a parameter twice": ("create", "x", "--dag-id", "orders", "--map", "a=1", "--map", "a=2"),
    "an expression": ("create", "x", "--dag-id", "orders", "--map", "a=${Webhook::No}"),
    "a template": ("create", "x", "--dag-id", "orders", "--response-template", "{"),
    "a content type": ("create", "x", "--dag-id", "orders", "--response-content-type", "text/html"),
    "an address": ("create", "x", "--dag-id", "orders", "--notify-failure", "nobody"),
    "a status": ("create", "x", "--dag-id", "orders", "--response-status", "500"),
    "a file that is not there": ("create", "x", "--dag-id", "orders", "--response-template", "@/no/file"),
    "a folder": ("try", "orders of the shop", "--data", "@/"),
    "a header without a colon": ("try", "orders of the shop", "--header", "X-No-Colon"),
    "a state": ("deliveries", "--state", "lost"),
    "a limit": ("deliveries", "--limit", "0"),
    "no --yes without a terminal": ("delete", "orders of the shop"),
    "no delivery to replay": ("replay",),
    "both a delivery and conditions": ("replay", "0" * 32, "--where", "state=failed"),
    "no condition": ("replay", "--yes", "--where", "failed"),
    "no condition of that name": ("replay", "--yes", "--where", "sate=failed"),
    "no such state": ("deliveries", "--where", "state=lost"),
    "no confirmation of a replay": ("replay", "--where", "state=accepted"),
    "no job to cancel": ("replays", "--cancel"),
}


@pytest.mark.parametrize("case", WRONG_CALLS)
def test_a_wrong_call_ends_with_2_and_one_line(webhooks, orders, monkeypatch, case):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    before = counts()
    done = webhooks(*WRONG_CALLS[case])
    assert (done.status, done.out) == (2, "")
    assert one_line(done.err), done.err
    assert counts() == before


@pytest.mark.parametrize(
    "call",
    [
        ("show", "nobody"),
        ("url", "nobody"),
        ("enable", "nobody"),
        ("disable", "nobody"),
        ("delete", "nobody", "--yes"),
        ("rotate", "nobody"),
        ("deliveries", "nobody"),
        ("try", "nobody"),
        ("replay", "0" * 32),
        ("delivery", "0" * 32),
        ("replays", "0" * 32),
        ("replays", "1" * 32, "--cancel"),
    ],
    ids=lambda call: call[0],
)
def test_what_is_not_there_ends_with_1_and_one_line_that_names_it(webhooks, orders, call):
    done = webhooks(*call)
    assert (done.status, done.out) == (1, "")
    assert one_line(done.err)
    assert call[1] in done.err


@pytest.mark.parametrize("call", [("create",), ("show",), ("frobnicate",), ("list", "-o", "xml")])
def test_arguments_that_are_none_end_with_2(webhooks, sqlite_database, call):
    assert webhooks(*call).status == 2


def test_an_empty_fernet_key_ends_with_2_and_names_the_setting(webhooks, sqlite_database, monkeypatch):
    from airflow.models.crypto import get_fernet

    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "")
    get_fernet.cache_clear()
    try:
        done = webhooks("create", "shop", "--dag-id", "orders")
    finally:
        get_fernet.cache_clear()
    assert (done.status, rows("webhook")) == (2, [])
    assert "[core] fernet_key" in done.err
    assert one_line(done.err)


def test_a_database_that_is_away_ends_with_1_and_one_line(webhooks, postgres_cluster, postgres_database):
    postgres_cluster.stop()
    try:
        done = webhooks("list", "-o", "json")
    finally:
        postgres_cluster.start()
    assert (done.status, done.out, done.err) == (1, "", "The database cannot be reached.\n")


# --- looking --------------------------------------------------------------------------------


def test_list_shows_all_by_name_without_tokens(webhooks, database):
    hooks = [store_webhook(name) for name in ("b", "a")]
    done = webhooks("list", "-o", "json")
    assert [found["name"] for found in done.json] == ["a", "b"]
    assert set(done.json[0]) == {"id", "name", "dag_id", "asset", "description", "owner", "enabled"}
    assert not [hook for hook in hooks if hook.token in done.out]


@pytest.mark.parametrize("command", ["list", "deliveries"])
def test_nothing_is_an_empty_json_list(webhooks, sqlite_database, command):
    done = webhooks(command, "-o", "json")
    assert (done.status, done.json, done.err) == (0, [], "")


@pytest.mark.parametrize("output", ["table", "json", "yaml", "plain"])
@pytest.mark.parametrize("command", ["list", "show", "deliveries"])
def test_each_output_shows_the_webhook(webhooks, orders, command, output):
    store_delivery(orders)
    name = [orders.id] if command == "show" else []
    done = webhooks(command, *name, "-o", output)
    assert done.status == 0
    assert "orders" in done.out
    if output == "yaml":
        assert yaml.safe_load(done.out)


def test_show_has_all_of_a_webhook_and_how_many_deliveries(webhooks, database):
    hook = store_webhook(mapping={"number": "1"})
    store_delivery(hook)
    store_delivery(hook, state="refused")
    shown = webhooks("show", hook.name, "-o", "json").json
    assert shown.keys() >= {"id", "name", "dag_id", "enabled", "url", "warnings", "rejections"}
    assert shown["mapping"] == {"number": "1"}
    assert shown["deliveries"] == {"accepted": 1, "refused": 1}
    assert shown["url"].endswith(hook.path.removeprefix("/pluginsv2"))


def test_show_has_the_last_rejections(webhooks, orders):
    from inbound_webhooks.records.delivery import Rejection
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.rejections import insert_rejections

    noted = Rejection(
        webhook_id=orders.id, rejected_at=now(), source_ip="::1", method="PUT", status=405, reason="method"
    )
    with transaction() as connection:
        insert_rejections(connection, [noted])
    (shown,) = webhooks("show", orders.id, "-o", "json").json["rejections"]
    assert (shown["method"], shown["status"], shown["reason"]) == ("PUT", 405, "method")


def test_url_prints_the_url_alone(webhooks, orders):
    done = webhooks("url", orders.name)
    assert done.out == f"http://localhost:8080{orders.path}\n"


def test_stats_count_the_deliveries_of_the_last_hours(webhooks, orders):
    for state in ("succeeded", "succeeded", "failed"):
        store_delivery(orders, state=state)
    done = webhooks("stats", orders.name, "--hours", "3", "-o", "json")
    assert (done.json["webhook_id"], done.json["is_complete"]) == (orders.id, True)
    assert done.json["total"]["states"] == {"succeeded": 2, "failed": 1}
    assert [hour["deliveries"] for hour in done.json["hours"]][:1] == [0]
    assert sum(hour["deliveries"] for hour in done.json["hours"]) == 3
    assert done.json["total"]["to_run"] == {"count": 0, "p50_seconds": None, "p95_seconds": None}
    lines = webhooks("stats", orders.name, "-o", "plain").out.splitlines()
    assert lines[0].split()[:2] == ["hour", "deliveries"]
    assert lines[-1].split()[:2] == ["total", "3"]


@pytest.mark.parametrize("hours", ["0", "-1", "745"])
def test_stats_refuse_a_number_of_hours_out_of_range(webhooks, orders, hours):
    done = webhooks("stats", orders.name, "--hours", hours)
    assert (done.status, done.err) == (2, "--hours expects a number from 1 to 744.\n")


def test_deliveries_are_listed_newest_first_by_state_and_number(webhooks, orders):
    ids = sorted(store_delivery(orders) for _ in range(3))
    store_delivery(orders, state="refused")
    done = webhooks("deliveries", orders.name, "--state", "accepted", "--limit", "2", "-o", "json")
    assert [found["id"] for found in done.json] == ids[:0:-1]
    assert {found["state"] for found in done.json} == {"accepted"}


def test_delivery_shows_request_run_outcome_and_mails(webhooks, database):
    from inbound_webhooks.storage import outcomes
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.mails import write_mails
    from tests.integration.dispatch.test_notifications import outcome

    hook = store_webhook(notify_failure=["ops@example.com"])
    headers = '[["Authorization", "***"], ["Content-Type", "application/json"]]'
    stored = store_delivery(hook, headers=headers, query_string="a=b", body=b'{"number": 1}', conf='{"n": 1}')
    ended = outcome(hook, delivery_id=stored, run_id=f"webhook__{stored}")
    with transaction() as connection:
        outcomes.record(connection, [ended])
        connection.exec_driver_sql(f"UPDATE inbound_webhook_delivery SET run_id = '{ended.run_id}'")
        write_mails(connection, [ended], at=now(), digest_window_seconds=60)
    shown = webhooks("delivery", stored, "-o", "json").json
    assert (shown["state"], shown["conf"], shown["request"]["query"]) == ("failed", {"n": 1}, "a=b")
    assert (shown["request"]["body"], shown["request"]["headers"][0]) == (
        '{"number": 1}',
        ["Authorization", "***"],
    )
    assert shown["run"]["page"].endswith(f"/dags/orders/runs/webhook__{stored}")
    assert (shown["run"]["duration_seconds"], shown["run"]["failed_tasks"][0]["task_id"]) == (125, "work")
    assert [(mail["recipient"], mail["state"]) for mail in shown["mails"]] == [("ops@example.com", "waiting")]


def test_delivery_has_the_response_that_its_sender_got(webhooks, orders):
    standard = store_delivery(orders, custom_response=False)
    told = webhooks("delivery", standard, "-o", "json").json["response"]
    assert (told["status"], json.loads(told["body"])) == (
        202,
        {"status": "accepted", "delivery_id": standard},
    )
    assert ["Content-Type", "application/json"] in told["headers"]
    assert told["note"] is None
    older = webhooks("delivery", store_delivery(orders), "-o", "json").json["response"]
    assert (older["status"], older["body"], "only the status" in older["note"]) == (202, None, True)


def test_delivery_says_that_it_waits_for_other_runs_to_end(webhooks, database):
    hook = store_webhook(max_active_runs=2)
    store_delivery(hook, state="dispatched")
    stored = store_delivery(hook)
    assert webhooks("delivery", stored, "-o", "json").json["waits_for"] is None
    running = store_delivery(hook, state="dispatched")
    shown = webhooks("delivery", stored, "-o", "json").json["waits_for"]
    assert shown == "the end of one of the webhook's runs: 2 are active, and its limit is 2."
    assert webhooks("delivery", running, "-o", "json").json["waits_for"] is None


@pytest.mark.parametrize("output", ["table", "yaml", "plain"])
def test_delivery_has_each_output(webhooks, orders, output):
    stored = store_delivery(orders, body=b"\x00\xff", next_attempt_at=None)
    done = webhooks("delivery", stored, "-o", output)
    assert (done.status, stored in done.out) == (0, True)


def test_delivery_without_its_body_says_so(webhooks, orders):
    stored = store_delivery(orders, body=b"", body_stored=False)
    shown = webhooks("delivery", stored, "-o", "json").json
    assert (shown["request"]["body"], shown["request"]["body_bytes"]) == (None, None)


# --- changing -------------------------------------------------------------------------------


def test_disable_and_enable_say_what_they_did(webhooks, orders):
    from inbound_webhooks.webhooks import service

    assert webhooks("disable", orders.name).out == "Disabled orders of the shop.\n"
    assert not service.get(orders.id).enabled
    assert webhooks("enable", orders.id).out == "Enabled orders of the shop.\n"
    assert service.get(orders.id).enabled


def test_rotate_prints_the_new_url(webhooks, orders):
    done = webhooks("rotate", orders.name)
    assert done.out.strip().endswith(token_of(orders.id))
    assert orders.token not in done.out


def test_delete_says_what_was_cancelled(webhooks, orders):
    store_delivery(orders)
    done = webhooks("delete", orders.name, "--yes")
    assert (done.status, done.out) == (
        0,
        "Deleted orders of the shop. Deliveries cancelled before they started: 1.\n",
    )
    assert (rows("webhook"), states()) == ([], ["cancelled"])


def test_replay_accepts_a_delivery_once_more(webhooks, orders):
    first = store_delivery(orders, state="dispatched", conf='{"number": 1}')
    done = webhooks("replay", first, "-o", "json")
    assert (done.json["replay_of"], done.json["state"]) == (first, "accepted")
    assert delivery(done.json["id"]).conf == '{"number": 1}'


def test_deliveries_are_found_by_conditions(webhooks, orders):
    ids = [
        store_delivery(orders, state=state, body=b"needle") for state in ("failed", "refused", "succeeded")
    ]
    store_delivery(orders, state="failed", body=b"hay")
    found = webhooks("deliveries", "--where", "state=failed", "--where", "state=refused", "-o", "json")
    assert len(found.json) == 3
    where = ("--where", "text=needle", "--where", "webhook=orders of the shop")
    found = webhooks("deliveries", "--state", "failed", *where, "-o", "json")
    assert [one["id"] for one in found.json] == ids[:1]


def test_many_are_replayed_followed_and_cancelled_by_command(webhooks, orders):
    for _ in range(3):
        store_delivery(orders, state="failed")
    started = webhooks("replay", "--where", "state=failed", "--remap", "--yes", "-o", "json")
    assert (started.json["deliveries"], started.json["where"], started.json["remap"]) == (
        3,
        "state=failed",
        True,
    )
    job_id = started.json["job"]
    assert [one["job"] for one in webhooks("replays", "-o", "json").json] == [job_id]
    shown = webhooks("replays", job_id, "--cancel", "-o", "json").json
    assert (shown["state"], shown["waiting"], shown["causes"]) == ("cancelled", 3, [])
    assert states().count("accepted") == 0


def test_replay_says_why_it_cannot(webhooks, orders):
    first = store_delivery(orders)
    webhooks("disable", orders.name)
    done = webhooks("replay", first)
    assert (done.status, one_line(done.err)) == (1, True)
    assert "disabled" in done.err


def test_rotate_fernet_key_says_how_many(webhooks, orders):
    before = rows("token")[0].encrypted
    done = webhooks("rotate-fernet-key")
    assert done.out == "Re-encrypted: 1 tokens, 0 secrets, 0 deliveries, 0 replay jobs.\n"
    assert rows("token")[0].encrypted != before


def test_the_audit_log_names_the_user_of_a_command_and_no_token(webhooks, orders):
    webhooks("disable", orders.name)
    webhooks("rotate", orders.name)
    entries = [entry for entry in audit_rows() if entry.owner == "alice"]
    assert [entry.event for entry in entries] == ["webhook.disable", "webhook.rotate"]
    assert token_of(orders.id) not in repr(audit_rows())


# --- try ------------------------------------------------------------------------------------


def counts() -> dict[str, int]:
    return {name: len(rows(name)) for name in ("webhook", "token", "delivery", "rejection")} | {
        "run": len(runs()),
        "audit": len(audit_rows()),
    }


JSON_TYPE = ("--header", "Content-Type: application/json")

PREVIEWS = {
    "accepted": ((*JSON_TYPE, "--data", '{"number": 3}'), "accepted", {"number": 3}, 202),
    "with a query": (
        (*JSON_TYPE, "--data", '{"number": 3}', "--query", "a=b"),
        "accepted",
        {"number": 3},
        202,
    ),
    "refused": ((*JSON_TYPE, "--data", "{"), "refused", None, 400),
    "of no type": (("--data", '{"number": 3}'), "accepted", {}, 202),
    "rejected": (("--data", "{}", "--header", "Content-Encoding: br"), "rejected", None, 415),
    "a verification": (("--method", "GET"), "verified", None, 200),
}


@pytest.mark.parametrize("case", PREVIEWS)
def test_try_shows_conf_and_response_and_writes_nothing(webhooks, database, case):
    store_dag("orders")
    hook = store_webhook(mapping={"number": "${Webhook::Body.number}"})
    arguments, state, conf, status = PREVIEWS[case]
    before, tokens = counts(), rows("token")
    shown = webhooks("try", hook.name, *arguments, "-o", "json").json
    assert (shown["state"], shown["conf"], shown["status"]) == (state, conf, status)
    assert (counts(), rows("token")) == (before, tokens)


def test_try_takes_a_body_from_a_file_as_bytes(webhooks, sqlite_database, tmp_path):
    hook = store_webhook(mapping={"body": "${Webhook::Body}"})
    body = tmp_path / "a.body"
    body.write_bytes(b"\x00\xff")
    header = "Content-Type: application/octet-stream"
    shown = webhooks("try", hook.id, "--data", f"@{body}", "--header", header, "-o", "json").json
    assert shown["conf"] == {"body": "AP8="}


def test_try_shows_what_a_template_makes_of_a_request(webhooks, orders):
    change_webhook(orders.id, response_content_type="text/plain", response_template="got ${Webhook::Query.a}")
    shown = webhooks(
        "try", orders.id, *JSON_TYPE, "--data", '{"number": 1}', "--query", "a=b", "-o", "json"
    ).json
    assert (shown["status"], shown["body"], shown["content_type"]) == (
        200,
        "got b",
        "text/plain; charset=utf-8",
    )


# --- as processes ---------------------------------------------------------------------------


def airflow(*arguments: str, **options) -> subprocess.Popen:
    program = str(Path(sys.executable).parent / "airflow")
    return subprocess.Popen(
        [program, "webhooks", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        **options,
    )


def test_a_real_process_prints_json_alone_on_its_standard_output(orders):
    process = airflow("show", orders.name, "-o", "json")
    out, _err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["id"]) == (0, orders.id)


def test_the_dispatcher_dispatches_until_sigterm_and_ends_with_0(orders):
    stored = store_delivery(orders)
    process = airflow("dispatcher")
    try:
        wait_until(lambda: delivery(stored).state == "dispatched")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, len(runs())) == (0, 1)


def test_a_dispatcher_with_a_wrong_setting_ends_with_2_and_one_line(webhooks, monkeypatch, sqlite_database):
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__DISPATCHER_BATCH_SIZE", "many")
    done = webhooks("dispatcher")
    assert (done.status, one_line(done.err)) == (2, True)
    assert "dispatcher_batch_size" in done.err


@pytest.mark.parametrize(
    ("host", "seconds_ago", "status"), [("here", 5, 0), ("here", 65, 1), ("elsewhere", 5, 1), (None, 5, 1)]
)
def test_a_check_of_the_dispatcher_succeeds_while_one_of_this_host_is_at_work(
    webhooks, database, host, seconds_ago, status
):
    from inbound_webhooks.dispatch import heartbeat
    from inbound_webhooks.storage import dispatchers
    from inbound_webhooks.storage.database import transaction

    if host is not None:
        name, seen_at = {"here": heartbeat.host()}.get(host, host), now() - timedelta(seconds=seconds_ago)
        row = dispatchers.DispatcherRow(id="a" * 32, host=name, pid=7, started_at=seen_at)
        with transaction() as connection:
            dispatchers.note_dispatcher(connection, row, seen_at)
    done = webhooks("dispatcher", "--check")
    assert (done.status, one_line(done.out or done.err)) == (status, True)


def wait_until(happened) -> None:
    give_up_at = time.monotonic() + 40
    while not happened():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gateway_max_connections", "many"),
        ("trusted_proxies", "10.0.0.0/33"),
        ("rate_limit_storage_uri", "nowhere://host"),
    ],
)
def test_a_gateway_with_a_wrong_setting_ends_with_2_and_one_line(
    webhooks, monkeypatch, sqlite_database, name, value
):
    """Before its workers start: each would end with a traceback and be started again."""
    monkeypatch.setenv(f"AIRFLOW__INBOUND_WEBHOOKS__{name.upper()}", value)
    done = webhooks("gateway", "--port", "1")
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith(f"[inbound_webhooks] {name} = ")
