"""Webhooks as a file to download: what is in it, what it is called, and whose webhooks are not."""

from __future__ import annotations

import pytest
import yaml

from tests.infrastructure.webhooks_builder import now, store_webhook
from tests.integration.web.test_activity import store_hooks


def entries(response) -> list[dict]:
    assert response.status_code == 200
    assert response.mimetype == "application/yaml"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return yaml.safe_load(response.text)["webhooks"]


def test_one_webhook_is_downloaded_as_its_definition(pages):
    hook = store_webhook('a "quoted" name: ü/../x', dag_id="orders", mapping={"a": "${Webhook::Body.a}"})
    client = pages.client("ada")
    assert f'href="/pluginsv2/webhooks/hook/{hook.id}/export" download' in client.get(f"/hook/{hook.id}").text
    response = client.get(f"/hook/{hook.id}/export")
    assert response.headers["Content-Disposition"] == "attachment; filename=a-quoted-name-..-x.yaml"
    [entry] = entries(response)
    assert entry == {"name": hook.name, "dag_id": "orders", "mapping": {"a": "${Webhook::Body.a}"}}
    assert hook.token not in response.text


def test_an_exported_file_names_a_secret_by_its_reference_and_never_shows_it(pages):
    hook = store_webhook(f"signed {now()}", preset="github", secrets={"signing": "a-secret-value"})
    text = pages.client("ada").get(f"/hook/{hook.id}/export").text
    assert "a-secret-value" not in text
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        mine = tables.secret.c.webhook_id == hook.id
        connection.execute(tables.secret.update().where(mine).values(reference="env:GITHUB_SECRET"))
    [entry] = entries(pages.client("ada").get(f"/hook/{hook.id}/export"))
    assert entry["secrets"] == {"signing": "env:GITHUB_SECRET"}


def test_selected_webhooks_and_those_of_the_filtered_list_are_downloaded(pages):
    hooks = [store_webhook(f"exported {number} {pages.auth}", dag_id="orders") for number in range(3)]
    client = pages.client("ada")
    chosen = client.get("/export", query_string={"id": [hook.id for hook in hooks[:2]]})
    assert [entry["name"] for entry in entries(chosen)] == [hook.name for hook in hooks[:2]]
    assert chosen.headers["Content-Disposition"].startswith("attachment; filename=webhooks-20")
    listed = entries(client.get("/export", query_string={"text": "exported", "sort": "name"}))
    assert [entry["name"] for entry in listed] == [hook.name for hook in hooks]


def test_what_a_user_may_not_change_is_not_exported(fab_pages):
    seen, mine = store_webhook("of another dag", dag_id="read"), store_webhook("of mine", dag_id="mine")
    fab_pages.role(
        "Editor of mine",
        *((action, "Webhooks") for action in ("can_read", "can_create", "can_edit")),
        *(("can_read", "DAG:read"), ("can_read", "DAG:mine"), ("can_edit", "DAG:mine")),
        *(("can_read", "DAG Runs"), ("can_create", "DAG Runs")),
    )
    client = fab_pages.client("editor of mine", "Editor of mine")
    assert [entry["name"] for entry in entries(client.get("/export"))] == [mine.name]
    assert client.get("/export", query_string={"id": [mine.id, seen.id]}).status_code == 403
    assert client.get(f"/hook/{seen.id}/export").status_code == 403


@pytest.mark.parametrize("text", ["many"])
def test_more_than_a_file_holds_are_refused_with_the_way_out(fab_pages, text):
    from inbound_webhooks.web.exporting import MOST_EXPORTED

    store_hooks(MOST_EXPORTED + 1, text)
    response = fab_pages.client("ada").get("/export", query_string={"text": text})
    assert response.status_code == 422
    assert "airflow webhooks export" in response.text
