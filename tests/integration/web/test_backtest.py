"""The back-test of the form as typed: what it shows, to whom, and that it stores nothing."""

from __future__ import annotations

import json

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import audit_rows, rows, store_delivery, store_webhook

HEADERS = json.dumps([["Content-Type", "application/json"]])
NUMBER = "${Webhook::Body.number}"


@pytest.fixture(scope="module")
def hook(pages):
    """A webhook with three deliveries, of the numbers 0, 1 and 2; the last has no body any more."""
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(type="integer")})
    made = store_webhook("past", mapping={"number": NUMBER})
    for number in range(3):
        body = json.dumps({"number": number, "text": "<b>x</b>"}).encode()
        store_delivery(made, body=body, headers=HEADERS, body_stored=number < 2)
    return made


@pytest.fixture
def judge(pages, hook):
    """judge(client, **fields) -> the response for the form with some fields filled in."""

    def ask(client=None, *, last: str = "10", expression: str = NUMBER, **fields: str):
        form = {
            **{"name": "past", "dag_id": "orders", "enabled": "y", "disabled_status": "403"},
            **{"invalid_status": "422", "response_content_type": "application/json"},
            **{"mapping_name": "number", "mapping_expression": expression, "backtest_last": last},
        }
        client = client or pages.client("ada")
        return client.post(f"/hook/{hook.id}/backtest", form | fields, script=True)

    return ask


def test_an_unchanged_form_would_change_nothing(judge):
    result = judge().json
    assert (result["looked_at"], result["changed"], result["not_judged"]) == (3, 0, 1)
    assert (result["groups"], result["deliveries"]) == ([], [])


def test_a_filter_shows_which_way_each_would_go(judge):
    result = judge(filter="body.number > 0").json
    (group,) = result["groups"]
    assert (group["number"], group["moves"]) == (1, True)
    assert [group[side] for side in ("before", "after")] == [
        {"state": "accepted", "tone": "info"},
        {"state": "filtered", "tone": "muted"},
    ]
    (one,) = result["deliveries"]
    assert (one["group"], one["lines"], one["error"]) == (group["key"], [], None)
    assert [line["label"] for line in one["folded"]] == ["conf", "Response status", "Response"]


def test_another_mapping_shows_each_value_before_and_after(judge):
    result = judge(expression="${Webhook::Body.text}").json
    assert "parameter number" in result["deliveries"][0]["error"]
    result = judge(expression="7").json
    assert [one["lines"] for one in result["deliveries"]] == [
        [{"label": "conf.number", "before": before, "after": "7"}] for before in ("1", "0")
    ]


def test_mistakes_come_beside_their_fields(judge):
    response = judge(filter="body.(")
    assert (response.status_code, list(response.json["problems"])) == (422, ["filter"])


@pytest.mark.parametrize("last", ["", "0", "7", "1e9", "-1"])
def test_a_number_that_is_none_of_the_choices_is_the_first(judge, last):
    assert judge(last=last).json["looked_at"] == 3


def test_nothing_is_stored(judge):
    before = (rows("delivery"), rows("webhook"), audit_rows())
    judge(filter="false")
    assert (rows("delivery"), rows("webhook"), audit_rows()) == before


def test_a_user_without_access_to_runs_neither_sees_nor_runs_a_back_test(pages, hook, judge):
    if pages.auth != "fab":
        # Under SimpleAuthManager a user who reads a DAG reads its runs.
        return
    pages.role(
        "makes runs",
        *(("can_read", "Webhooks"), ("can_edit", "Webhooks"), ("can_read", "DAG:orders")),
        *(("can_edit", "DAG:orders"), ("can_create", "DAG Runs")),
    )
    client = pages.client("mac", "makes runs")
    assert "Past deliveries" not in client.get(f"/hook/{hook.id}").text
    assert "Past deliveries" in pages.client("ada").get(f"/hook/{hook.id}").text
    assert judge(client).status_code == 403


def test_deliveries_of_a_dag_that_the_user_may_not_read_are_left_out(pages, hook, judge):
    if pages.auth != "fab":
        return
    hidden = store_delivery(hook, dag_id="another", body=b'{"number": 9}', headers=HEADERS)
    pages.role(
        "runs of orders",
        *(("can_read", "Webhooks"), ("can_edit", "Webhooks"), ("can_read", "DAG:orders")),
        *(("can_edit", "DAG:orders"), ("can_create", "DAG Runs"), ("can_read", "DAG Runs")),
    )
    response = judge(pages.client("rita", "runs of orders"), expression="7")
    assert hidden not in response.text
    assert len(response.json["deliveries"]) == 2
