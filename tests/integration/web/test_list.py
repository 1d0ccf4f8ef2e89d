"""The list: what it shows, to whom, and how it is searched."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta

from inbound_webhooks.web import documentation_text
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import (
    now,
    rows,
    store_deliveries,
    store_delivery,
    store_rejection,
    store_webhook,
)
from tests.integration.web.site import BASE, ROOT


def test_an_empty_list_says_what_a_webhook_is_and_offers_the_first_step(pages):
    response = pages.client("ada").get("/")
    assert response.status_code == 200
    assert "A webhook is a URL that starts a Dag" in response.text
    assert "Create the first webhook" in response.text


def test_the_list_names_webhooks_and_their_dags(pages):
    store_dag("orders")
    hook = store_webhook("orders of the shop", dag_id="orders")
    store_delivery(hook, state="refused")
    show_dispatcher()
    text = pages.client("ada").get("/").text
    assert "orders of the shop" in text
    assert "Ready" in text
    assert "1 failed" in text


def show_dispatcher() -> None:
    from inbound_webhooks.storage.database import transaction
    from inbound_webhooks.storage.dispatchers import DispatcherRow, note_dispatcher

    with transaction() as connection:
        note_dispatcher(connection, DispatcherRow(id="d" * 32, host="here", pid=1, started_at=now()), now())


def test_the_chart_counts_what_could_not_be_used_or_started_and_runs_that_failed(pages):
    from inbound_webhooks.records.delivery import State

    hook = store_webhook("ended in every way", dag_id="orders")
    for state in State.ALL:
        store_delivery(hook, state=state)
    assert f"{len(State.ALL)} in the last 24 hours, 3 failed or refused" in row_of(pages, hook)


def test_beyond_what_is_counted_the_list_says_that_there_may_be_more(pages):
    from inbound_webhooks.storage.activity import MOST_COUNTED
    from inbound_webhooks.storage.listing import first_id_at

    busy = store_webhook("a busy one", dag_id="orders")
    store_delivery(busy, id=first_id_at(now() - timedelta(hours=9)), state="failed")
    store_deliveries(busy, MOST_COUNTED - 2, state="failed")
    assert "9,999 in the last 24 hours, 9,999 failed or refused" in row_of(pages, busy)
    store_deliveries(busy, 2, state="succeeded")
    row = row_of(pages, busy)
    assert "10,000 or more in the last 24 hours; of the newest 10,000, 9,998 failed" in row
    assert "10,000+" in row
    assert 'class="uncounted"' in row


def row_of(pages, hook) -> str:
    """The row of the list that is a webhook's."""
    rows = pages.client("ada").get("/", query_string={"text": hook.name}).text.split("<tr")
    return str(next(row for row in rows if f'value="{hook.id}"' in row))


# --- rows ---------------------------------------------------------------------------------------

PART = {"HX-Request": "true"}


def toggle(client, hook, on: str, place: str = "list"):
    form = {"enabled": on, "place": place, "back": "/pluginsv2/webhooks/?text=toggled"}
    form["csrf_token"] = client.csrf_token()
    path = f"{ROOT}/hook/{hook.id}/enabled"
    return client.browser.post(path, data=form, base_url=BASE, headers=PART)


def test_a_toggle_answers_with_its_row_alone_and_a_way_to_undo_it(pages):
    hook = store_webhook("toggled", dag_id="orders")
    ada = pages.client("ada")
    answer = toggle(ada, hook, "0")
    assert answer.text.strip().startswith(f'<tr id="webhook-{hook.id}">')
    assert answer.text.strip().endswith("</tr>")
    assert 'aria-checked="false"' in answer.text
    message = json.loads(answer.headers["HX-Trigger"])["toast"]
    assert message["text"] == "Disabled toggled."
    undo = message["undo"]
    assert (undo["target"], undo["values"]["enabled"]) == (f"#webhook-{hook.id}", "1")
    assert 'aria-checked="true"' in toggle(ada, hook, "1").text


def test_a_row_on_a_dags_tab_keeps_its_columns(pages):
    hook = store_webhook("toggled on the tab", dag_id="orders")
    assert 'data-label="Target"' in toggle(pages.client("ada"), hook, "0").text
    assert 'data-label="Target"' not in toggle(pages.client("ada"), hook, "1", "dag").text


def test_a_toggle_without_the_right_to_it_says_so_and_changes_nothing(pages):
    hook = store_webhook("not toggled", dag_id="orders")
    answer = toggle(pages.client("vera", "Viewer"), hook, "0")
    assert (answer.status_code, answer.text) == (403, "")
    assert "requires the permission" in json.loads(answer.headers["HX-Trigger"])["toast"]["text"]
    assert next(row.enabled for row in rows("webhook") if row.id == hook.id)


def test_rows_are_sent_again_in_the_order_of_the_page_without_what_is_gone(pages):
    first, gone, last = (store_webhook(name, dag_id="orders") for name in ("z first", "gone", "a last"))
    delete_webhook(gone)
    ids = f"{first.id},{gone.id},{last.id}"
    answer = pages.client("ada").get("/rows", query_string={"ids": ids}, headers=PART).text
    assert answer.index(f'id="webhook-{first.id}"') < answer.index(f'id="webhook-{last.id}"')
    assert gone.id not in answer
    assert "The list has changed." in answer


def delete_webhook(hook) -> None:
    from inbound_webhooks.storage.webhooks import ById
    from inbound_webhooks.webhooks import service

    service.delete(ById(hook.id), actor="ada", checked=service.get(hook.id))


def test_a_list_that_shows_what_it_should_announces_nothing(pages):
    hook = store_webhook("the only one of its name", dag_id="orders")
    page = pages.client("ada").get("/", query_string={"text": hook.name}).text
    url = html.unescape(page.split('hx-get="')[1].split('"')[0])
    answer = pages.client("ada").get(url.removeprefix(f"/pluginsv2{ROOT}"), headers=PART).text
    assert hook.id in answer
    assert "The list has changed." not in answer


def test_at_most_a_page_of_rows_is_sent_again(pages):
    from inbound_webhooks.web.catalog import PAGE_SIZE

    hooks = [store_webhook(f"many {number}", dag_id="orders") for number in range(PAGE_SIZE + 1)]
    ids = ",".join(hook.id for hook in hooks)
    answer = pages.client("ada").get("/rows", query_string={"ids": ids}, headers=PART).text
    assert answer.count("<tr") == PAGE_SIZE


def test_the_list_counts_rejections_of_the_last_day(pages):
    from inbound_webhooks.storage import tables
    from inbound_webhooks.storage.database import transaction

    hook = store_webhook("rejected", dag_id="orders")
    ids = [store_rejection(hook) for _ in range(3)]
    old = tables.rejection.update().where(tables.rejection.c.id == ids[0])
    with transaction() as connection:
        connection.execute(old.values(rejected_at=now() - timedelta(hours=25)))
    assert "2 rejected<" in row_of(pages, hook)


# --- paused DAGs --------------------------------------------------------------------------------


def pause(dag_id: str) -> None:
    from airflow import settings
    from airflow.models.dag import DagModel

    table = DagModel.__table__
    with settings.engine.begin() as connection:
        connection.execute(table.update().where(table.c.dag_id == dag_id).values(is_paused=True))


def test_a_paused_dag_can_be_unpaused_from_the_list_and_the_audit_log_says_so(pages):
    store_dag("sleeping")
    pause("sleeping")
    hook = store_webhook("of a sleeping Dag", dag_id="sleeping")
    assert ">Unpause<" in row_of(pages, hook)
    pages.client("ada").post("/dag/sleeping/unpause", {"back": "/pluginsv2/webhooks/"})
    assert ">Unpause<" not in row_of(pages, hook)
    (entry,) = entries("patch_dag")
    assert (entry.dag_id, entry.owner, json.loads(entry.extra)) == (
        "sleeping",
        "ada",
        {"is_paused": False, "method": "PATCH"},
    )
    delete_webhook(hook)
    forget_entries()


def entries(event: str):
    from airflow import settings
    from airflow.models.log import Log

    table = Log.__table__
    with settings.engine.connect() as connection:
        return list(connection.execute(table.select().where(table.c.event == event)))


def forget_entries() -> None:
    from airflow import settings
    from airflow.models.log import Log

    table = Log.__table__
    with settings.engine.begin() as connection:
        connection.execute(table.delete().where(table.c.event == "patch_dag"))


def test_a_viewer_is_offered_no_unpausing_and_may_not_do_it(pages):
    store_dag("kept_asleep")
    pause("kept_asleep")
    hook = store_webhook("of a Dag kept asleep", dag_id="kept_asleep")
    viewer = pages.client("vera", "Viewer")
    assert ">Unpause<" not in viewer.get("/", query_string={"text": hook.name}).text
    assert viewer.post("/dag/kept_asleep/unpause").status_code == 403
    assert entries("patch_dag") == []


# --- several at once ----------------------------------------------------------------------------


def test_a_viewer_of_webhooks_reads_which_permission_creating_one_requires(pages):
    store_dag("orders")
    store_webhook("one to look at", dag_id="orders")
    sentence = "Creating one requires the permission to trigger a Dag"
    seen = pages.client("vera", "Viewer").get("/?text=one+to+look+at").text
    assert (sentence in seen, "New webhook" in seen, "data-all" in seen) == (True, False, False)
    changed = pages.client("ada").get("/?text=one+to+look+at").text
    assert (sentence in changed, "New webhook" in changed, "data-all" in changed) == (False, True, True)


def test_a_bulk_delete_names_the_webhooks_before_and_after(pages):
    hooks = [store_webhook(f"doomed {number}", dag_id="orders") for number in range(13)]
    form = [("do", "delete"), *(("id", hook.id) for hook in hooks)]
    question = pages.client("ada").post("/bulk", form).text
    assert "Delete doomed 0, doomed 1," in question
    assert "doomed 9 and 3 others, with their URLs and secrets?" in question
    ada = pages.client("ada")
    ada.post("/bulk", [*form[:3], ("confirmed", "1")])
    assert "Deleted doomed 0 and doomed 1." in ada.get("/").text


def test_the_empty_list_offers_every_sender_to_begin_with(pages):
    from inbound_webhooks.presets import PRESETS

    store_dag("nothing_yet")
    page = pages.client("ada").get("/dag/nothing_yet").text
    for name, preset in PRESETS.items():
        assert f"/webhooks/new?dag=nothing_yet&amp;sender={name}" in page
        assert html.escape(preset.title, quote=False) in page.replace("&#39;", "'")
    assert "sender=github" not in pages.client("vera", "Viewer").get("/dag/nothing_yet").text


def test_help_links_lead_to_the_documentation_of_the_package_or_of_the_setting(pages, monkeypatch):
    ada = pages.client("ada")
    [link] = re.findall(r'href="/pluginsv2/webhooks([^"]+)"[^>]*>Help<', ada.get("/").text)
    assert '<h1 id="pages">' in ada.get(link).text
    listed = re.findall(r'href="/pluginsv2/webhooks(/help/[^"]+)"', ada.get("/help").text)
    assert [ada.get(page).status_code for page in listed] == [200] * len(listed)
    assert ada.get("/help/pages-map.png").mimetype == "image/png"
    unknown = ada.get("/help/nothing")
    assert (unknown.status_code, "Back to all webhooks" in unknown.text) == (404, True)
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__DOCS_URL", "https://docs.example.com/{page}.html")
    assert 'href="https://docs.example.com/pages.html"' in pages.client("ada").get("/").text
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__DOCS_URL", "javascript:alert(1)")
    assert "javascript:" not in pages.client("ada").get("/").text


def test_a_package_that_was_copied_without_its_documentation_offers_no_help(pages, monkeypatch, tmp_path):
    monkeypatch.setattr(documentation_text, "FOLDER", tmp_path)
    ada = pages.client("ada")
    assert ">Help<" not in ada.get("/").text
    assert ada.get("/help").status_code == 404


def test_rows_of_dags_that_the_user_may_not_see_are_not_sent(fab_pages):
    hidden = store_webhook("a hidden row", dag_id="unseen")
    fab_pages.role("of no Dag", ("can_read", "Webhooks"))
    answer = fab_pages.client("nell", "of no Dag").get("/rows", query_string={"ids": hidden.id}, headers=PART)
    assert (answer.status_code, "a hidden row" in answer.text) == (200, False)
    seen = fab_pages.client("ada").get("/rows", query_string={"ids": hidden.id}, headers=PART)
    assert "a hidden row" in seen.text
