"""Deliveries on the pages: the list, one in full, live changes, the tab of a run, replay, what is tried."""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime, timedelta, timezone

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import audit_rows, delivery, rows, store_delivery, store_webhook

BODY = b'{"customer": {"name": "<b>Ada</b>"}, "odd key": [1]}'
AT = datetime(2026, 11, 24, 10, tzinfo=timezone.utc)
MAILS: dict[str, dict[str, object]] = {
    "sent": {"sent_at": AT + timedelta(minutes=2)},
    "waiting": {"next_attempt_at": AT + timedelta(hours=1)},
    "refused": {"error": "550 <no> such user"},
    "given_up": {},
}
HEADERS = json.dumps([["Content-Type", "application/json"], ["Authorization", "***"], ["X-Kind", "sale"]])


@pytest.fixture(scope="module", autouse=True)
def endpoint():
    """The process's receiver, made for this module and forgotten after it."""
    from inbound_webhooks.receiver.instance import forget_receiver

    forget_receiver()
    yield
    forget_receiver()


@pytest.fixture(scope="module")
def hook(pages, endpoint):
    """A webhook of the DAG `orders`, which takes a text `customer` and an integer `number`."""
    from airflow.sdk import Param

    store_dag(
        "orders", params={"customer": Param("nobody", type="string"), "number": Param(1, type="integer")}
    )
    return store_webhook("orders", mapping={"customer": "${Webhook::Body.customer.name}"})


@pytest.fixture(scope="module")
def ada(pages, hook):
    return pages.client("ada")


def stored(hook, **columns) -> str:
    whole = {"body": BODY, "headers": HEADERS, "state": "dispatched", "conf": '{"customer": "Ada"}'}
    return store_delivery(hook, **whole | columns)


def draft(**fields: str) -> dict[str, str]:
    untouched = {
        "enabled": "y",
        "response_content_type": "application/json",
        "disabled_status": "403",
        "invalid_status": "422",
    }
    return untouched | {"name": "a draft", "dag_id": "orders", **fields}


def test_the_list_shows_state_size_and_why(ada, hook):
    stored(hook, state="refused", error="parameter number: <i>no</i>")
    page = ada.get(f"/hook/{hook.id}/deliveries").text
    assert "Refused" in page
    assert f"{len(BODY)} B" in page
    assert "parameter number: &lt;i&gt;no&lt;/i&gt;" in page


def test_a_delivery_that_waits_for_other_runs_to_end_says_so(ada, hook):
    limited = store_webhook("limited", max_active_runs=1)
    running, waiting = stored(limited), stored(limited, state="accepted")
    sentence = "1 are active, and its limit is 1."
    assert sentence in ada.get(f"/delivery/{waiting}").text
    assert sentence not in ada.get(f"/delivery/{running}").text
    assert sentence not in ada.get(f"/delivery/{stored(hook, state='accepted')}").text


def test_one_delivery_shows_its_request_and_conf_as_text(ada, hook):
    page = ada.get(f"/delivery/{stored(hook)}").text
    assert "&#34;name&#34;: &#34;&lt;b&gt;Ada&lt;/b&gt;&#34;" in page
    assert "<b>Ada" not in page
    assert "X-Kind" in page
    assert "Authorization" in page


@pytest.fixture(scope="module")
def failed(hook):
    """A delivery whose run failed, with mails in every state about it."""
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    columns = {"state": "failed", "event_type": "sale.made", "run_id": "webhook__told"}
    tasks = json.dumps([{"task_id": "work", "map_index": 3, "try_number": 2}])
    ended = {"run_started_at": AT, "finished_at": AT + timedelta(seconds=64), "failed_tasks": tasks}
    made = stored(hook, **columns | ended)
    with transaction() as connection:
        for number, (state, more) in enumerate(MAILS.items()):
            mail_id = f"{number:032x}"
            base = {"webhook_id": hook.id, "webhook_name": hook.name, "kind": "failure", "created_at": AT}
            mail = base | {"id": mail_id, "state": state, "recipient": f"{state}@example.com", "due_at": AT}
            connection.execute(tables.mail.insert(), mail | {"attempts": number} | more)
            row = {"mail_id": mail_id, "position": 0, "delivery_id": made, "outcome": "{}"}
            connection.execute(tables.mail_delivery.insert(), row)
    return made


def test_a_delivery_says_how_its_run_ended_and_which_tasks_failed(ada, failed):
    page = ada.get(f"/delivery/{failed}").text
    assert "Its Dag run failed." in page
    for shown in ("2026-11-24 10:00:00 UTC", "2026-11-24 10:01:04 UTC", "1 min 4 s", "sale.made", "work[3]"):
        assert shown in page
    assert "/dags/orders/runs/webhook__told/tasks/work/mapped/3?try_number=2" in page


def test_a_delivery_shows_sent_and_failed_mails_with_the_reason(ada, failed):
    page = ada.get(f"/delivery/{failed}").text
    people = {found[1]: found[0] for found in re.findall(r"<tr>(.*?(\w+)@example\.com.*?)</tr>", page, re.S)}
    assert list(people) == list(MAILS)
    assert "2026-11-24 10:02:00 UTC" in people["sent"]
    assert re.search(r"not before <time [^>]*>2026-11-24 11:00:00 UTC</time>", people["waiting"])
    assert "550 &lt;no&gt; such user" in people["refused"]
    assert ">given up<" in people["given_up"]


def test_the_list_shows_event_state_and_the_run_s_duration(ada, hook, failed):
    page = ada.get(f"/hook/{hook.id}/deliveries?state=failed").text
    row = next(found for found in page.split("<tr") if failed in found)
    for shown in ("sale.made", "Failed</span>", "1 min 4 s"):
        assert shown in row


def test_a_delivery_links_its_origin_and_its_replays(ada, hook):
    origin = stored(hook)
    again = stored(hook, replay_of=origin)
    assert f'href="/pluginsv2/webhooks/delivery/{again}"' in ada.get(f"/delivery/{origin}").text
    assert f'href="/pluginsv2/webhooks/delivery/{origin}"' in ada.get(f"/delivery/{again}").text
    orphan = ada.get(f"/delivery/{stored(hook, replay_of='f' * 32)}").text
    assert "deleted, or you may not see it" in orphan


def test_without_a_stored_body_only_the_original_conf_can_be_replayed(ada, hook):
    page = ada.get(f"/delivery/{stored(hook, body=b'', body_stored=False)}").text
    assert "The body is not stored." in page
    assert "Only a replay with the original conf is possible." in page
    assert ">Replay</button>" in page
    assert ">Replay with current mapping</button>" not in page
    assert ">Replay with current mapping</button>" in ada.get(f"/delivery/{stored(hook)}").text


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (gzip.compress(BODY), "gzip", "&#34;odd key&#34;"),
        (b"\xff\xfe\x00", "identity", "not text"),
        (b"{", "identity", "not JSON"),
        (b"no gzip at all", "gzip", "not compressed"),
    ],
    ids=["packed", "binary", "broken json", "broken gzip"],
)
def test_a_body_is_made_readable_or_said_not_to_be(ada, hook, body, encoding, expected):
    kind = "application/octet-stream" if expected == "not text" else "application/json"
    headers = json.dumps([["Content-Type", kind], ["Content-Encoding", encoding]])
    assert expected in ada.get(f"/delivery/{stored(hook, body=body, headers=headers)}").text


def test_what_is_new_or_has_changed_comes_without_a_reload(ada, hook):
    first = stored(hook, state="accepted")
    page = ada.get(f"/hook/{hook.id}/deliveries").text
    [part] = re.findall(r'id="delivery-list" hx-get="/pluginsv2/webhooks([^"]+)"', page)
    second = stored(hook, state="dispatched", run_id="webhook__second")
    rows_again = ada.get(part, headers={"HX-Request": "true"}).text
    assert re.findall(r'<tr id="delivery-(\w+)">', rows_again)[:2] == [second, first]
    assert "webhook__second" in rows_again
    assert "<html" not in rows_again


def test_the_tab_of_a_run_shows_the_delivery_that_made_it(ada, hook):
    made = stored(hook)
    from airflow import settings

    from inbound_webhooks.storage import tables

    run_id = f"webhook__{made}"
    with settings.engine.begin() as connection:
        connection.execute(tables.delivery.update().where(tables.delivery.c.id == made).values(run_id=run_id))
    assert made in ada.get(f"/run/orders/{run_id}").text
    for other in (
        f"/run/events/{run_id}",
        "/run/orders/manual__2026-11-24T00:00:00+00:00",
        f"/run/orders/{made}",
    ):
        assert "Not started by a webhook" in ada.get(other).text


def test_a_replay_is_a_new_delivery_and_the_audit_log_names_the_user(ada, hook):
    made = stored(hook)
    response = ada.post(f"/delivery/{made}/replay", follow_redirects=True)
    again = next(row for row in rows("delivery") if row.replay_of == made)
    assert response.status_code == 200
    assert (again.state, json.loads(again.conf)) == ("accepted", {"customer": "Ada"})
    assert [row.owner for row in audit_rows() if row.event == "webhook.replay" and made in row.extra] == [
        "ada"
    ]


def test_a_replay_that_the_current_mapping_refuses_says_why(ada, hook):
    made = stored(hook, conf=None, state="refused", body=b"{")
    response = ada.post(f"/delivery/{made}/replay", {"remap": "1"})
    assert response.status_code == 409
    assert "mapping refuses it" in response.text


def test_the_fields_of_the_newest_delivery_can_be_completed(ada, hook):
    stored(hook)
    found = {field["source"]: field["value"] for field in ada.json(f"/hook/{hook.id}/fields.json")}
    assert found["Body.customer.name"] == "<b>Ada</b>"
    assert found['Body["odd key"][0]'] == "1"
    assert found["Headers.X-Kind"] == "sale"
    assert found["Headers.Authorization"] == "***"


def test_a_draft_is_tried_as_it_is_typed_and_nothing_is_stored(ada, hook):
    before = len(rows("delivery"))
    fields = draft(mapping_name="number", mapping_expression="${Webhook::Body.n}", filter="body.n > 1")
    request = {"try_method": "POST", "try_headers": "Content-Type: application/json"}
    tried = ada.post("/try", fields | request | {"try_body": '{"n": 7}'}, script=True)
    assert (tried.json["state"], tried.json["conf"], tried.json["status"]) == ("accepted", {"number": 7}, 202)
    filtered = ada.post("/try", fields | request | {"try_body": '{"n": 0}'}, script=True)
    assert filtered.json["state"] == "filtered"
    broken = ada.post(
        f"/hook/{hook.id}/try", fields | request | {"try_body": '{"n": 1.5}', "filter": ""}, script=True
    )
    assert (broken.json["state"], broken.json["status"]) == ("refused", 422)
    assert len(rows("delivery")) == before


def test_a_draft_with_mistakes_is_not_tried(ada):
    response = ada.post("/try", draft(filter="body."), script=True)
    assert response.status_code == 422
    assert list(response.json["problems"]) == ["filter"]


def test_a_user_without_access_to_runs_sees_neither_body_nor_mails(pages, hook, failed):
    if pages.auth != "fab":
        # Under SimpleAuthManager a user who reads a DAG reads its runs.
        return
    pages.role("no runs", ("can_read", "Webhooks"), ("can_read", "DAG:orders"))
    client, made = pages.client("norbert", "no runs"), stored(hook)
    page = client.get(f"/delivery/{made}")
    assert page.status_code == 200
    assert "odd key" not in page.text
    assert "X-Kind" not in page.text
    assert "@example.com" not in client.get(f"/delivery/{failed}").text
    assert client.get(f"/delivery/{made}.json").status_code == 403
    assert client.json(f"/hook/{hook.id}/fields.json") == []
    assert client.json(f"/hook/{hook.id}/recent.json") == []
    assert delivery(made).state == "dispatched"


def test_deliveries_of_a_dag_that_the_webhook_had_before_stay_hidden(pages, hook):
    if pages.auth != "fab":
        return
    store_dag("former")
    pages.role("orders only", ("can_read", "Webhooks"), ("can_read", "DAG:orders"))
    made = stored(hook, dag_id="former", error="of the former dag")
    client = pages.client("olga", "orders only")
    assert made not in client.get(f"/hook/{hook.id}/deliveries").text
    for path in (f"/hook/{hook.id}/deliveries/rows", "/deliveries", "/deliveries?dag=former"):
        assert "of the former dag" not in client.get(path).text
    assert client.get(f"/delivery/{made}").status_code == 404


def test_a_replay_needs_the_right_to_read_runs_of_the_dag_that_the_delivery_was_for(pages, hook):
    if pages.auth != "fab":
        return
    store_dag("former")
    runs_of_orders = [(action, "DAG Run:orders") for action in ("can_read", "can_create")]
    orders = [(action, "DAG:orders") for action in ("can_read", "can_edit")]
    webhooks = [(action, "Webhooks") for action in ("can_read", "can_edit")]
    pages.role("runs of orders", *webhooks, *orders, *runs_of_orders, ("can_read", "DAG:former"))
    client = pages.client("rosa", "runs of orders")
    made = [stored(hook, dag_id=dag_id) for dag_id in ("orders", "former")]
    statuses = [client.post(f"/delivery/{delivery_id}/replay").status_code for delivery_id in made]
    assert statuses == [303, 403]
