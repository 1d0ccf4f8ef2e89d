"""A changed webhook over the deliveries that came: what would change, and nothing is stored."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from inbound_webhooks.event.differences import ABSENT
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.loop import new_receiver
from tests.infrastructure.webhooks_builder import audit_rows, now, rows, store_delivery, store_webhook

HEADERS = json.dumps([["Content-Type", "application/json"]])


NUMBER = {"number": "${Webhook::Body.number}"}


def store_body(hook, body: dict, **columns) -> str:
    return store_delivery(hook, body=json.dumps(body).encode(), headers=HEADERS, **columns)


@pytest.fixture
def orders(database):
    """A webhook whose DAG wants an integer, with two orders, the newer one of 20."""
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(type="integer", maximum=100)})
    hook = store_webhook(mapping=NUMBER)
    for number in (10, 20):
        store_body(hook, {"number": number, "other": number * 10, "kind": "order"})
    return hook


def judge(hook, *, limit: int = 100, **fields):
    from inbound_webhooks.deliveries.backtest import back_test
    from inbound_webhooks.webhooks import service

    webhook = service.get(hook.id)
    return back_test(new_receiver(), webhook, replace(webhook, **fields), limit=limit)


def changes(tested) -> list[dict]:
    """Of each delivery, newest first: field -> (before, after)."""
    return [{change.field: (change.before, change.after) for change in one.changes} for one in tested.judged]


def test_without_a_change_nothing_would_change(orders):
    tested = judge(orders)
    assert (len(tested.judged), tested.changed, tested.moves) == (2, (), {})
    assert [one.after.conf for one in tested.judged] == [{"number": 20}, {"number": 10}]


def test_another_mapping_shows_the_conf_and_what_the_params_refuse(orders):
    tested = judge(orders, mapping={"number": "${Webhook::Body.other}"})
    newer, _ = tested.judged
    assert changes(tested)[1] == {"conf.number": (10, 100)}
    assert (newer.before.state, newer.after.state, newer.after.status) == ("accepted", "refused", 422)
    assert "number" in newer.after.error
    assert tested.moves == {("accepted", "refused"): 1}


def test_a_value_that_only_looks_the_same_is_a_change(database):
    hook = store_webhook(mapping={"a": "${Webhook::Body.a}"})
    store_body(hook, {"a": 1, "b": True})
    assert changes(judge(hook, mapping={"a": "${Webhook::Body.b}"})) == [{"conf.a": (1, True)}]


def test_a_change_deep_inside_is_shown_alone(database):
    hook = store_webhook(mapping={"a": "${Webhook::Body.a}"})
    store_body(hook, {"a": {"same": 1, "b": {"c": 1, "gone": None}}, "d": {"same": 1, "b": {"c": "1"}}})
    found = changes(judge(hook, mapping={"a": "${Webhook::Body.d}"}))
    assert found == [{"conf.a.b.c": (1, "1"), "conf.a.b.gone": (None, ABSENT)}]


def test_another_filter_shows_what_it_leaves_out(orders):
    tested = judge(orders, filter="body.number > 15")
    assert [one.after.state for one in tested.judged] == ["accepted", "filtered"]
    assert changes(tested)[0] == {}
    assert changes(tested)[1]["conf"] == ({"number": 10}, None)


def test_another_answer_is_shown(orders):
    tested = judge(orders, response_template='{"got": ${Webhook::Body.number}}', response_status=201)
    newest = changes(tested)[0]
    assert newest["status"] == (202, 201)
    assert json.loads(newest["response"][1]) == {"got": 20}


def test_an_answer_that_names_the_delivery_is_no_change(orders):
    fields = {"response_template": '{"id": ${Webhook::Delivery.id}}'}
    (newest, _) = judge(orders, **fields).judged
    assert json.loads(newest.after.response) == {"id": newest.delivery_id}
    assert json.loads(newest.before.response)["delivery_id"] == newest.delivery_id


def test_another_event_type_is_shown(orders):
    assert changes(judge(orders, event_type="${Webhook::Body.kind}"))[0] == {"event_type": (None, "order")}


def test_a_deduplication_key_shows_which_deliveries_repeat_an_earlier_one(orders):
    store_body(orders, {"number": 10})
    tested = judge(orders, dedup="${Webhook::Body.number}")
    assert [one.after.state for one in tested.judged] == ["duplicate", "accepted", "accepted"]
    assert tested.judged[0].after.repeats == tested.judged[2].delivery_id


def test_a_refused_delivery_holds_no_key(orders):
    store_body(orders, {"number": "no number"})
    store_body(orders, {"number": "no number"})
    states = [one.after.state for one in judge(orders, dedup="${Webhook::Body.number}").judged]
    assert states == ["refused", "refused", "accepted", "accepted"]


def test_a_changed_mapping_brings_no_credential_to_light(orders):
    from inbound_webhooks.deliveries import stored_request
    from inbound_webhooks.event.request import InboundRequest

    sent = InboundRequest(
        method="POST",
        query_string="token=canary-1",
        headers=(("Authorization", "Bearer canary-2"), ("Content-Type", "application/json")),
        body=b'{"number": 1}',
        source_ip="127.0.0.1",
        received_at=now(),
    )
    store_delivery(orders, **stored_request.columns(sent))
    mapping = {"header": "${Webhook::Headers.Authorization}", "query": "${Webhook::Query.token}"}
    newest = judge(orders, mapping=NUMBER | mapping).judged[0]
    assert newest.after.conf == {"number": 1, "header": "***", "query": "***"}


def test_a_delivery_without_its_body_says_so(orders):
    store_delivery(orders, body_stored=False)
    tested = judge(orders, filter="false")
    assert (len(tested.not_judged), len(tested.changed)) == (1, 2)
    assert "body was not stored" in tested.judged[0].note


def test_the_newest_are_looked_at_and_replays_are_not(orders):
    store_body(orders, {"number": 30}, replay_of="x" * 32)
    assert [one.after.conf["number"] for one in judge(orders, limit=1).judged] == [20]


def test_nothing_is_stored(orders):
    before = (rows("delivery"), rows("webhook"), rows("rejection"), audit_rows())
    judge(orders, filter="body.number > 15", mapping={})
    assert (rows("delivery"), rows("webhook"), rows("rejection"), audit_rows()) == before


# --- the command line -----------------------------------------------------------------------


@pytest.fixture
def draft(tmp_path):
    def write(**fields) -> str:
        path = tmp_path / "draft.yaml"
        base = {"name": "orders of the shop", "dag_id": "orders"}
        path.write_text(yaml.safe_dump({"webhooks": [base | fields]}, sort_keys=False))
        return str(path)

    return write


def against(webhooks, file: str, *more: str):
    return webhooks("try", "orders of the shop", "--against-last", "50", "--file", file, *more)


def test_the_command_shows_a_table_and_a_line_of_summary(webhooks, orders, draft):
    store_delivery(orders, body_stored=False)
    done = against(webhooks, draft(mapping={"number": "${Webhook::Body.other}"}), "-o", "plain")
    assert (done.status, done.err) == (0, "")
    assert "conf.number: 10 → 100" in done.out
    assert "accepted → refused" in done.out
    assert done.out.splitlines()[-1] == (
        "2 of the last 3 deliveries would change: 1 accepted → refused. 1 could not be judged. "
        "Nothing was stored or run."
    )


def test_the_command_prints_json(webhooks, orders, draft):
    done = against(webhooks, draft(mapping=NUMBER, filter="body.number > 15"), "-o", "json")
    assert {name: done.json[name] for name in ("judged", "changed", "not_judged")} == {
        "judged": 2,
        "changed": 1,
        "not_judged": 0,
    }
    assert done.json["moves"] == [{"before": "accepted", "after": "filtered", "deliveries": 1}]
    assert [one["after"]["state"] for one in done.json["deliveries"]] == ["accepted", "filtered"]


def test_the_command_says_that_nothing_would_change(webhooks, orders, draft):
    done = against(webhooks, draft(mapping=NUMBER))
    assert done.out == "0 of the last 2 deliveries would change. Nothing was stored or run.\n"


@pytest.mark.parametrize(
    "call",
    [("--against-last", "0"), ("--against-last", "1001"), ("--file", "x.yaml")],
    ids=" ".join,
)
def test_a_wrong_call_ends_with_2(webhooks, sqlite_database, call):
    store_webhook()
    done = webhooks("try", "orders of the shop", *call)
    assert (done.status, done.out) == (2, "")


def test_a_draft_that_does_not_compile_is_reported_with_its_place(webhooks, sqlite_database, draft):
    store_webhook()
    done = against(webhooks, draft(filter="body.("))
    assert done.status == 2
    assert "draft.yaml:4: orders of the shop: filter: line 1" in done.err
