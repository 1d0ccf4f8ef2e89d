"""A delivery's page: its cause, what follows changes, its body in every form, its replays."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    change_delivery,
    change_webhook,
    rows,
    store_delivery,
    store_webhook,
)

BODY = b'{"order":{"id":7,"name":"<b>O\'Hara</b>"}}'
HEADERS = json.dumps(
    [
        ["Host", "a.example"],
        ["Content-Type", "application/json"],
        ["Authorization", "***"],
        ["X-Kind", "sale"],
    ]
)
NOW = datetime.now(timezone.utc)


@pytest.fixture(scope="module", autouse=True)
def endpoint():
    """The process's receiver, made for this module and forgotten after it."""
    from inbound_webhooks.receiver.instance import forget_receiver

    forget_receiver()
    yield
    forget_receiver()


@pytest.fixture(scope="module")
def hook(pages, endpoint):
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(1, type="integer")})
    return store_webhook("orders", mapping={"number": "${Webhook::Body.order.id}"})


@pytest.fixture(scope="module")
def ada(pages, hook):
    return pages.client("ada")


def stored(hook, **columns: Any) -> str:
    base = {"body": BODY, "headers": HEADERS, "state": "dispatched", "credentials": "x"}
    return store_delivery(hook, **base | columns)


def part(page: str, name: str) -> str:
    """The text of an element with an id, up to the next section."""
    return page.split(f'id="{name}"', 1)[1].split("<section", 1)[0]


def live(client: Any, delivery_id: str, **more: Any) -> Any:
    return client.get(f"/delivery/{delivery_id}/live", headers={"HX-Request": "true"}, **more)


# --- the cause ------------------------------------------------------------------------------


def test_a_refused_delivery_names_the_parameter_and_leads_to_the_mapping(ada, hook):
    page = ada.get(
        f"/delivery/{stored(hook, state='refused', error='parameter number: <no>', conf=None)}"
    ).text
    assert "parameter number: &lt;no&gt;" in page
    assert re.search(rf'href="/pluginsv2/webhooks/hook/{hook.id}#lines">Edit mapping<', page)
    assert 'href="#request">See the request<' in page


def test_a_request_names_its_method_and_its_size(ada, hook):
    request = part(ada.get(f"/delivery/{stored(hook)}").text, "request")
    assert '<p class="help">POST, 41 B. Credentials are masked.</p>' in request
    without = stored(hook, body=b"", body_stored=False, credentials=None)
    bodiless = part(ada.get(f"/delivery/{without}").text, "request")
    assert '<p class="help">POST</p>' in bodiless


def test_a_filtered_delivery_leads_to_the_filter(ada, hook):
    page = ada.get(f"/delivery/{stored(hook, state='filtered')}").text
    assert re.search(rf'href="/pluginsv2/webhooks/hook/{hook.id}#filter">Edit filter<', page)


def test_a_failed_task_leads_to_its_log(ada, hook):
    tasks = json.dumps([{"task_id": "work", "map_index": 3, "try_number": 2}])
    made = stored(hook, state="failed", run_id="webhook__log", finished_at=NOW, failed_tasks=tasks)
    page = live(ada, made).text
    assert "Task work[3] failed." in page
    assert (
        '/dags/orders/runs/webhook__log/tasks/work/mapped/3?try_number=2" target="_top">Log of work[3]'
        in page
    )


def test_the_cause_of_a_deleted_webhooks_delivery_has_no_dead_link(ada):
    hook = store_webhook("a deleted one", mapping={"number": "${Webhook::Body.order.id}"})
    made = stored(hook, state="refused", error="parameter number: no", conf=None)
    ada.post(f"/hook/{hook.id}/delete", {"confirmed": "1"})
    page = ada.get(f"/delivery/{made}")
    assert (page.status_code, "a deleted one" in page.text) == (200, True)
    assert "The webhook was deleted, so its deliveries cannot be replayed." in page.text
    assert f"/hook/{hook.id}" not in page.text
    assert 'href="/pluginsv2/webhooks/"' in page.text
    assert "/dags/orders" in page.text


# --- following changes ----------------------------------------------------------------------


def test_the_live_part_is_a_fragment_that_asks_for_itself_again(ada, hook):
    made = stored(hook)
    response = live(ada, made)
    assert response.status_code == 200
    assert "<html" not in response.text
    assert f'hx-get="/pluginsv2/webhooks/delivery/{made}/live?place=page"' in response.text
    assert 'hx-swap="morph:outerHTML"' in response.text
    # The facts of the run stand elsewhere on the page.
    assert 'id="delivery-run" hx-swap-oob="morph"' in response.text
    page = ada.get(f"/delivery/{made}").text
    assert page.count('id="delivery-run"') == page.count('id="delivery-live"') == 1
    assert "hx-swap-oob" not in page


OLD = NOW - timedelta(days=8)


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({"state": "accepted"}, 200),
        ({"state": "dispatched", "run_id": "webhook__a"}, 200),
        # It can be cleared, and is tracked for seven days.
        ({"state": "succeeded", "run_id": "webhook__b", "finished_at": NOW}, 200),
        ({"state": "succeeded", "run_id": "webhook__c", "finished_at": OLD}, 286),
        ({"state": "refused"}, 286),
        ({"state": "undeliverable", "finished_at": NOW}, 286),
    ],
)
def test_polling_ends_once_nothing_can_change_any_more(ada, hook, columns, status):
    assert live(ada, stored(hook, **columns)).status_code == status


def test_a_replay_that_is_open_keeps_its_origin_following(ada, hook):
    made = stored(hook, state="refused")
    stored(hook, state="accepted", replay_of=made)
    assert live(ada, made).status_code == 200


def test_a_replay_answers_with_the_same_page_and_a_link_to_the_new_delivery(ada, hook):
    made = stored(hook)
    ada.csrf_token()
    response = ada.browser.post(
        f"/webhooks/delivery/{made}/replay",
        base_url="http://localhost/pluginsv2",
        data={"csrf_token": ada.csrf_token(), "place": "run"},
        headers={"HX-Request": "true"},
    )
    again = next(row for row in rows("delivery") if row.replay_of == made)
    assert response.status_code == 200
    assert json.loads(response.headers["HX-Trigger"])["toast"]["text"].startswith("Replayed.")
    assert f'href="/pluginsv2/webhooks/delivery/{again.id}"' in response.text
    assert f"/delivery/{made}/live?place=run" in response.text


def test_without_a_script_the_tab_of_a_run_stays_that_of_its_delivery(ada, hook):
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    made = stored(hook)
    with transaction() as connection:
        change = tables.delivery.update().where(tables.delivery.c.id == made)
        connection.execute(change.values(run_id=f"webhook__{made}"))
    response = ada.post(f"/delivery/{made}/replay", {"place": "run"})
    assert response.headers["Location"].endswith(f"/webhooks/run/orders/webhook__{made}")
    elsewhere = ada.post(f"/delivery/{made}/replay", {"place": "//evil.example"})
    assert "/webhooks/delivery/" in elsewhere.headers["Location"]


def test_a_poll_reads_no_body_and_no_conf(ada, hook, monkeypatch):
    """They may have megabytes, and a page polls every three seconds."""
    from airflow import settings
    from sqlalchemy import event

    made, statements = stored(hook), []

    def note(_connection, _cursor, statement, *_more) -> None:
        statements.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        assert live(ada, made).status_code == 200
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
    ours = [sql for sql in statements if "inbound_webhook_delivery" in sql]
    assert ours
    for sql in ours:
        selected = re.sub(r"length\([\w.]+body\)|[\w.]+conf IS NOT NULL", "", sql.split("FROM")[0])
        assert not re.search(r"\.(body|conf|headers|credentials)\b", selected), sql
    assert len(statements) < 30


# --- request, response, conf ----------------------------------------------------------------


def test_a_body_is_shown_as_tree_as_text_and_as_it_came(ada, hook):
    page = ada.get(f"/delivery/{stored(hook)}").text
    assert 'data-source="Body.order.id"' in page
    assert "&#34;id&#34;: 7" in part(page, "request-text")
    assert "{&#34;order&#34;:{&#34;id&#34;:7," in part(page, "request-raw")
    assert "X-Kind: sale" in page
    assert "Authorization: ***" in page
    assert "<b>O" not in page


def test_the_response_is_shown_with_its_headers(ada, hook):
    from inbound_webhooks.event.response import Response
    from inbound_webhooks.receiver.response_log import ResponseLog
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.deliveries import find_delivery

    made = stored(hook, custom_response=True, credentials=None, response_status=201)
    with transaction() as connection:
        delivery = find_delivery(connection, made)
    log = ResponseLog()
    log.add(delivery, Response(201, b'{"seen": "<i>"}'))
    log.flush()
    shown = part(ada.get(f"/delivery/{made}").text, "response")
    for text in ("201", 'data-name="seen"', "&#34;seen&#34;: &#34;&lt;i&gt;&#34;", "Content-Security-Policy"):
        assert text in shown
    standard = part(ada.get(f"/delivery/{stored(hook, custom_response=False)}").text, "response")
    assert "&#34;status&#34;: &#34;accepted&#34;" in standard
    older = part(ada.get(f"/delivery/{stored(hook)}").text, "response")
    assert "kept only the status" in older


def test_the_body_is_downloaded_after_decompression_and_never_shown_by_the_browser(ada, hook):
    headers = json.dumps([["Content-Type", "text/html"], ["Content-Encoding", "gzip"]])
    made = stored(hook, body=gzip.compress(b"<script>alert(1)</script>"), headers=headers)
    response = ada.get(f"/delivery/{made}/body")
    assert response.data == b"<script>alert(1)</script>"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{made}.txt"'
    assert response.content_type == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    broken = stored(hook, body=b"no gzip", headers=headers)
    assert ada.get(f"/delivery/{broken}/body").data == b"no gzip"
    assert ada.get(f"/delivery/{stored(hook, body_stored=False)}/body").status_code == 404


def test_the_request_is_copied_as_a_command_that_sends_the_same_bytes(ada, hook):
    made = stored(hook, query_string="page=1&name=O'Hara")
    command = ada.json(f"/delivery/{made}/curl.json")["text"]
    comment, _, rest = command.partition("\n")
    assert comment == "# Replace *** with the credentials."
    words = shlex.split(rest.replace("\\\n", " "))
    assert words[:2] == ["curl", f"http://localhost:8080{hook.path}?page=1&name=O'Hara"]
    assert words[words.index("--data-raw") + 1].encode() == BODY
    assert words[words.index("X-Kind: sale") - 1 :][:2] == ["-H", "X-Kind: sale"]
    assert "Host" not in command


def test_the_command_for_a_signed_sender_computes_the_signature(ada, hook):
    github = store_webhook("signed pushes", preset="github", secrets={"signing": "a secret of ours"})
    headers = [
        ["X-Hub-Signature-256", "***"],
        ["X-GitHub-Event", "push"],
        ["Content-Type", "application/json"],
    ]
    command = ada.json(f"/delivery/{stored(github, headers=json.dumps(headers))}/curl.json")["text"]
    assert "openssl dgst -sha256 -hmac" in command
    assert "***" not in command
    assert "a secret of ours" not in command
    assert "X-GitHub-Event: push" in command
    untyped = json.dumps([pair for pair in headers if pair[0] != "Content-Type"])
    command = ada.json(f"/delivery/{stored(github, headers=untyped)}/curl.json")["text"]
    assert "-H 'Content-Type: '" in command  # curl would add that of a form
    # What else was masked is said.
    headers.append(["Authorization", "***"])
    command = ada.json(f"/delivery/{stored(github, headers=json.dumps(headers))}/curl.json")["text"]
    assert command.startswith("# Replace *** with the credentials.\n")
    assert "openssl dgst" in command
    # A body that is no text comes from a file, which this command does not sign.
    binary = stored(github, headers=json.dumps(headers), body=bytes([255, 0]))
    assert "openssl" not in ada.json(f"/delivery/{binary}/curl.json")["text"]


def test_a_command_names_the_url_only_to_users_who_may_change_the_webhook(pages, hook):
    made = stored(hook, query_string="a=1")
    command = pages.client("vera", "Viewer").json(f"/delivery/{made}/curl.json")["text"]
    assert hook.token not in command
    assert '"$WEBHOOK_URL"' in command


def test_a_command_says_nothing_that_curl_would_add_and_reads_a_binary_body_from_a_file(ada, hook):
    plain = ada.json(f"/delivery/{stored(hook, headers='[]', body=b'@file')}/curl.json")["text"]
    assert "-H 'Content-Type:'" in plain
    assert "--data-raw @file" in plain
    assert (
        "--data-binary @body" in ada.json(f"/delivery/{stored(hook, body=bytes([255, 0]))}/curl.json")["text"]
    )


def test_what_needs_the_right_to_read_runs_is_hidden_without_it(pages, hook):
    if pages.auth != "fab":
        # Under SimpleAuthManager every user who may read a DAG may read its runs.
        return
    pages.role("no runs at all", ("can_read", "Webhooks"), ("can_read", "DAG:orders"))
    client = pages.client("nils", "no runs at all")
    tasks = json.dumps([{"task_id": "secret_task", "map_index": -1, "try_number": 1}])
    made = stored(hook, state="failed", failed_tasks=tasks, custom_response=False, conf='{"canary": 1}')
    for path in (f"/delivery/{made}", f"/delivery/{made}/live"):
        page = client.get(path).text
        for hidden in ("canary", "O&#39;Hara", "secret_task", "delivery_id", "Notifications"):
            assert hidden not in page
        assert "permission to read the Dag" in page
    for path in ("body", "curl.json"):
        assert client.get(f"/delivery/{made}/{path}").status_code == 403


def test_replays_for_a_dag_that_the_user_may_not_see_are_hidden(pages, hook):
    if pages.auth != "fab":
        return
    store_dag("unseen")
    pages.role("orders and no other", ("can_read", "Webhooks"), ("can_read", "DAG:orders"))
    made = stored(hook)
    hidden, seen = (stored(hook, replay_of=made, dag_id=dag_id) for dag_id in ("unseen", "orders"))
    page = pages.client("oda", "orders and no other").get(f"/delivery/{made}").text
    assert (hidden in page, seen in page) == (False, True)


# --- when a replay is offered ---------------------------------------------------------------


def offered(client: Any, delivery_id: str) -> list[str]:
    return re.findall(r">(Replay[^<]*)</button>", client.get(f"/delivery/{delivery_id}").text)


def test_a_replay_is_offered_while_it_can_work(ada, pages):
    hook = store_webhook("to replay", mapping={"number": "${Webhook::Body.order.id}"})
    made = stored(hook)
    assert offered(ada, made) == ["Replay", "Replay with current mapping"]
    assert offered(ada, stored(hook, conf=None, state="refused")) == ["Replay with current mapping"]
    assert offered(pages.client("vera", "Viewer"), made) == []
    change_webhook(hook.id, enabled=False)
    assert offered(ada, made) == []
    assert "The webhook is disabled, so nothing can be replayed." in ada.get(f"/delivery/{made}").text
    change_webhook(hook.id, enabled=True, dag_id="not_there")
    assert offered(ada, made) == []
    assert "Airflow has no Dag not_there now." in ada.get(f"/delivery/{made}").text


# --- groups ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "is_first"), [("held", False), ("failed", True)])
def test_a_replay_is_the_first_action_of_a_delivery_only_once_it_has_ended(ada, hook, state, is_first):
    page = ada.get(f"/delivery/{store_delivery(hook, dag_id='events', state=state)}").text
    (button,) = re.findall(r"<button([^>]*)>Replay</button>", page)
    assert ('class="primary"' in button) is is_first
    assert ("This delivery goes on as well." in button) is not is_first


def test_a_delivery_of_a_batch_links_the_others(ada, hook):
    first, second, third = sorted(stored(hook) for _ in range(3))
    for each in (first, second, third):
        change_delivery(each, batch_id=first, run_id=f"webhook__batch_{first}")
    page = ada.get(f"/delivery/{second}").text
    batch = part(page, "batch")
    assert "Batch of 3 deliveries" in page
    assert [each in batch for each in (first, second, third)] == [True, False, True]


def test_the_tab_of_a_run_of_a_batch_shows_its_first_delivery(ada, hook):
    first = stored(hook)
    change_delivery(first, batch_id=first, run_id=f"webhook__batch_{first}")
    assert first in ada.get(f"/run/orders/webhook__batch_{first}").text


def test_a_delivery_says_how_full_its_batch_is_and_when_it_closes(ada, pages):
    from inbound_webhooks.dispatch.heartbeat import Heartbeat

    hook = store_webhook("batches", batch_size=100, batch_seconds=60)
    at = datetime.now(timezone.utc)
    ids = [
        stored(hook, state="batched", group_key="k", next_attempt_at=None, received_at=at) for _ in range(2)
    ]
    sentence = f"Its batch has 2 of 100 events and closes at {at + timedelta(seconds=60):%H:%M:%S} UTC."
    heartbeat = Heartbeat()
    heartbeat.note()
    assert sentence in ada.get(f"/delivery/{ids[0]}").text
    heartbeat.end()


def test_a_superseded_delivery_links_the_one_that_ran(ada, hook):
    newer = stored(hook)
    older = stored(hook, state="superseded", superseded_by=newer)
    page = ada.get(f"/delivery/{older}").text
    assert "A newer event of its key ran instead." in page
    assert f'href="/pluginsv2/webhooks/delivery/{newer}"' in page
