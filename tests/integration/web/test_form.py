"""The form of a webhook without its scripts: questions, hints, copies, and what it tells about users."""

from __future__ import annotations

import html

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import audit_rows, rows, store_webhook, token_of

SECRET = "a secret that nobody may read"
READS_WEBHOOKS = (("can_read", "Webhooks"), ("can_read", "DAGs"))


@pytest.fixture(scope="module")
def ada(pages):
    store_dag("orders")
    return pages.client("ada")


def form(**fields: str) -> dict[str, str]:
    untouched = {"enabled": "y", "response_content_type": "application/json"}
    untouched |= {"disabled_status": "403", "invalid_status": "422", "dag_id": "orders", "action": "save"}
    return untouched | fields


def stored(name: str):
    return next((row for row in rows("webhook") if row.name == name), None)


# --- a DAG that Airflow does not know -------------------------------------------------------


def test_an_unknown_dag_is_asked_for_before_it_is_saved(ada):
    fields = form(name="unknown dag", dag_id="ordres")
    asked = ada.post("/new", fields, script=True)
    assert (asked.status_code, asked.json["field"], stored("unknown dag")) == (422, "unknown_dag", None)
    assert "Airflow has no Dag ordres" in asked.json["question"]
    page = ada.post("/new", fields)
    assert 'name="unknown_dag"' in page.text
    assert ada.post("/new", fields | {"unknown_dag": "1"}, script=True).status_code == 200


def test_a_webhook_whose_dag_has_gone_is_saved_without_a_question(ada):
    hook = store_webhook("its dag is gone", dag_id="gone")
    fields = form(name="its dag is gone", dag_id="gone", filter="body.a", version="1")
    assert ada.post(f"/hook/{hook.id}", fields, script=True).status_code == 200
    moved = form(name="its dag is gone", dag_id="gone too", version="2")
    assert ada.post(f"/hook/{hook.id}", moved, script=True).status_code == 422


# --- problems and hints ---------------------------------------------------------------------


def test_problems_of_fields_expressions_recipients_and_secrets_come_together(ada):
    store_webhook("taken already", dag_id="orders")
    scheme = '[{"kind": "hmac", "header": "Stripe-Signature"}]'
    fields = form(
        name="taken already", preset="stripe", verification=scheme, filter="body.(", max_backlog="0",
        notify_failure="nobody", owner="\u0007",
    ) | {"secret:signing": " spaced"}  # fmt: skip
    problems = ada.post("/new", fields, script=True).json["problems"]
    assert set(problems) == {"name", "filter", "max_backlog", "notify_failure", "owner", "secrets:signing"}
    assert all(len(messages) == 1 for messages in problems.values())


def test_a_path_without_braces_is_named_on_the_page_and_in_the_list(ada):
    hook = store_webhook("path as text", dag_id="orders", mapping={"customer": "body.customer.name"})
    page = ada.get(f"/hook/{hook.id}").text
    assert 'data-use="${Webhook::Body.customer.name}"' in page
    listed = ada.get("/", query_string={"text": "path as text"}).text
    assert "Write ${Webhook::Body.customer.name} for that." in listed


def test_the_expression_that_was_meant_is_named(ada):
    assert ada.json("/meant.json?text=body.id") == {"meant": "${Webhook::Body.id}"}
    assert ada.json("/meant.json?text=a+body.id") == {"meant": None}


# --- clones, owners and users ---------------------------------------------------------------


def test_a_clone_has_another_name_and_no_secret(ada):
    hook = store_webhook(
        "original",
        dag_id="orders",
        preset="github",
        secrets={"signing": SECRET},
        owner="ada",
        filter="body.a",
    )
    page = ada.get(f"/new?clone={hook.id}").text
    assert 'value="original copy"' in page
    assert 'value="ada"' in page
    assert "body.a</textarea>" in page
    assert (SECRET in page, hook.token in page, hook.id in page) == (False, False, False)


def test_only_a_webhook_that_the_user_may_see_is_cloned(pages, ada):
    if pages.auth != "fab":
        return
    hook = store_webhook("hidden", dag_id="hidden")
    may_create = ("can_read", "Webhooks"), ("can_create", "Webhooks"), ("can_create", "DAG Runs")
    pages.role("creator of orders", *may_create, ("can_read", "DAG:orders"), ("can_edit", "DAG:orders"))
    creator = pages.client("carl", "creator of orders")
    assert creator.get("/new").status_code == 200
    assert creator.get(f"/new?clone={hook.id}").status_code == 404


def test_the_owner_stands_in_the_list(ada):
    store_webhook("owned", dag_id="orders", owner="team <blue>")
    assert html.escape("team <blue>") in ada.get("/", query_string={"text": "owned"}).text


def test_users_are_listed_only_with_the_right_to_read_users(pages, ada):
    if pages.auth != "fab":
        # SimpleAuthManager knows no addresses.
        assert ada.json("/users.json?text=a") == []
        return
    pages.client("adrian", "Viewer")
    found = ada.json("/users.json?text=adri")
    assert found == [{"name": "adrian", "full_name": "adrian adrian", "email": "adrian@example.com"}]
    assert ada.json("/users.json?text=%25") == []
    pages.role("reads webhooks", *READS_WEBHOOKS)
    assert pages.client("rita", "reads webhooks").json("/users.json?text=adri") == []


# --- the end of a grace period --------------------------------------------------------------


def test_the_page_says_that_an_old_url_works_and_ends_it(ada):
    from inbound_webhooks.webhooks import service

    hook = store_webhook("rotated", dag_id="orders")
    service.rotate(hook.id, actor="a tester", grace_hours=24)
    assert "The old URL still works, until" in ada.get(f"/hook/{hook.id}").text
    response = ada.post(f"/hook/{hook.id}/end-grace", {"back": f"/pluginsv2/webhooks/hook/{hook.id}"})
    assert response.location == f"/pluginsv2/webhooks/hook/{hook.id}"
    assert "still works" not in ada.get(f"/hook/{hook.id}").text
    assert [row.webhook_id for row in rows("token")].count(hook.id) == 1
    assert token_of(hook.id) != hook.token
    assert [row.owner for row in audit_rows() if row.event == "webhook.end_grace"][-1] == "ada"
