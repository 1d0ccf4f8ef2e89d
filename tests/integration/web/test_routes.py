"""Every route of the pages, asked by users who should not get what it has; one without a guard fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.waits_builder import stored_wait
from tests.infrastructure.webhooks_builder import audit_rows, rows, store_delivery, store_webhook
from tests.integration.web.route_table import ACTIONS, PAGES, UNKNOWN
from tests.integration.web.site import BASE, ROOT

HIDDEN = "the hidden webhook"
OTHER_DAGS_EDITOR = (
    *(("can_read", "Webhooks"), ("can_create", "Webhooks"), ("can_edit", "Webhooks")),
    ("can_delete", "Webhooks"),
    *(("can_read", "DAG:others"), ("can_edit", "DAG:others")),
    *(("can_read", "DAG Runs"), ("can_create", "DAG Runs")),
)


@pytest.fixture(scope="module")
def hidden(pages):
    """A webhook with a delivery and a replay job, of the DAG `hidden`."""
    from inbound_webhooks.deliveries import replay_jobs
    from inbound_webhooks.records.delivery_filter import DeliveryFilter

    store_dag("hidden")
    store_dag("others")
    hook = store_webhook(HIDDEN, dag_id="hidden")
    delivery = store_delivery(hook, dag_id="hidden", body=b'{"canary": 1}', headers="[]", state="dispatched")
    where = DeliveryFilter(webhook=hook.id)
    job = replay_jobs.start(access=None, actor="an operator", remap=False, where=where)
    return {"webhook_id": hook.id, "delivery_id": delivery, "token": hook.token, "job_id": job.id} | {
        "wait_id": stored_wait("hidden").id
    }


def routes(pages) -> list[tuple[str, Any]]:
    """Each method and rule of ours but the assets, which are public."""
    found = [
        (method, rule)
        for rule in pages.app.url_map.iter_rules()
        if rule.rule.startswith(ROOT) and not rule.endpoint.endswith("assets.static")
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"})
    ]
    assert len(found) > 15
    return found


def ask(client, method: str, rule: Any, hidden) -> Any:
    values = {**hidden, "dag_id": "hidden", "run_id": f"webhook__{hidden['delivery_id']}", "name": "github"}
    values |= {"filename": "pages.css", "page": "concepts"}
    path = rule.rule.replace("<path:", "<")
    for name in rule.arguments:
        path = path.replace(f"<{name}>", values[name])
    if method == "GET":
        return client.get(
            path.removeprefix(ROOT), query_string={"dag": "hidden", "dag_id": "hidden", "text": "hidden"}
        )
    form = {
        "id": hidden["webhook_id"],
        **{"do": "delete", "confirmed": "1", "enabled": "0", "action": "save"},
        **{"name": "a new one", "dag_id": "hidden", "version": "1", "disabled_status": "403"},
        **{"invalid_status": "422", "response_content_type": "application/json"},
    }
    return client.post(path.removeprefix(ROOT), form, script=True)


def of_something_hidden(rule: Any) -> bool:
    return bool(rule.arguments & {"webhook_id", "delivery_id", "dag_id", "job_id", "wait_id"})


def test_a_stranger_gets_nothing_but_the_way_to_the_login(pages, hidden):
    stranger = pages.client()
    for method, rule in routes(pages):
        response = ask(stranger, method, rule, hidden)
        # Without a page of ours there is no token for a form either.
        assert response.status_code == (401 if method == "GET" else 400), rule
        assert HIDDEN not in response.text


def test_a_user_with_a_wrong_or_foreign_token_is_a_stranger(pages, hidden):
    for token in ("nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJBRE1JTiJ9."):
        browser = pages.app.test_client()
        browser.set_cookie("_token", token)
        assert browser.get(f"{ROOT}/").status_code == 401


def test_a_viewer_changes_nothing_and_sees_no_token(pages, hidden):
    viewer = pages.client("vera", "Viewer")
    before = audit_rows()
    for method, rule in routes(pages):
        response = ask(viewer, method, rule, hidden)
        assert hidden["token"] not in response.text, rule
        if method == "POST":
            assert response.status_code == 403, rule
    assert audit_rows() == before
    assert [row.enabled for row in rows("webhook") if row.name == HIDDEN] == [True]


def test_an_editor_of_another_dag_finds_neither_webhook_nor_delivery(pages, hidden):
    if pages.auth != "fab":
        # SimpleAuthManager gives rights to all DAGs or to none: that is the next test.
        return
    pages.role("editor of others", *OTHER_DAGS_EDITOR)
    editor = pages.client("otto", "editor of others")
    before = audit_rows()
    for method, rule in routes(pages):
        response = ask(editor, method, rule, hidden)
        assert HIDDEN not in response.text, rule
        assert "canary" not in response.text, rule
        is_reload = method == "GET" and rule.rule in ACTIONS
        if of_something_hidden(rule) and not is_reload:
            assert response.status_code in (403, 404), rule
    assert audit_rows() == before
    assert editor.get("/").status_code == 200


def test_a_user_without_a_role_gets_no_page(pages, hidden):
    if pages.auth == "fab":
        pages.role("nothing at all")
        client = pages.client("nora", "nothing at all")
    else:
        client = pages.client("nora", "")
    for method, rule in routes(pages):
        response = ask(client, method, rule, hidden)
        assert response.status_code in (403, 400), rule
        assert HIDDEN not in response.text


def test_an_admin_opens_every_page_of_the_walk(pages, hidden):
    """Else the tests above could pass because nothing answers at all."""
    admin = pages.client("ada", "Admin")
    opened = [rule.rule for method, rule in routes(pages) if method == "GET"]
    responses = {
        rule.rule: ask(admin, "GET", rule, hidden) for method, rule in routes(pages) if method == "GET"
    }
    expected = {path: 303 if path in ACTIONS else 200 for path in opened}
    # htmx stops polling at 286: nothing changes any more.
    statuses = {path: response.status_code for path, response in responses.items()}
    assert {path: 200 if status == 286 else status for path, status in statuses.items()} == expected
    assert sum(HIDDEN in response.text for response in responses.values()) >= 3


def test_every_page_of_ours_carries_the_headers_that_keep_it_safe(pages, hidden):
    for client in (pages.client("ada"), pages.client()):
        for method, rule in routes(pages):
            if method == "GET":
                response = ask(client, method, rule, hidden)
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
                assert "unsafe" not in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert response.headers["Cache-Control"] == "no-store"


# --- the table ------------------------------------------------------------------------------


def ours(pages) -> list[tuple[str, Any]]:
    """Each method and rule that leads to code of ours, whatever its path."""
    found = []
    for rule in pages.app.url_map.iter_rules():
        is_ours = pages.app.view_functions[rule.endpoint].__module__.startswith("inbound_webhooks")
        if is_ours or rule.endpoint.startswith("inbound_webhooks") or rule.rule.startswith("/webhook"):
            found += [(method, rule) for method in sorted(rule.methods - {"HEAD", "OPTIONS"})]
    return found


@pytest.fixture
def without_form_tokens(pages):
    """Who gets no page has no token for a form either; what is behind that is to hold by itself."""
    pages.app.config["WTF_CSRF_ENABLED"] = False
    yield
    pages.app.config["WTF_CSRF_ENABLED"] = True


def people(pages) -> dict[str, Any]:
    """Browsers by the name of their column."""
    no_role = "nothing at all" if pages.auth == "fab" else ""
    if pages.auth == "fab":
        pages.role(no_role)
    found = {
        "stranger": pages.client(),
        "without_role": pages.client("nora", no_role),
        "viewer": pages.client("vera", "Viewer"),
    }
    if pages.auth == "fab":  # SimpleAuthManager gives rights to all DAGs or to none
        pages.role("editor of others", *OTHER_DAGS_EDITOR)
        found["other"] = pages.client("otto", "editor of others")
    return found


def test_every_route_has_a_row_in_the_table(pages):
    assert {(method, rule.rule) for method, rule in ours(pages)} == set(PAGES)


def test_each_route_answers_each_of_them_as_its_row_says(pages, hidden, without_form_tokens):
    before = (audit_rows(), rows("webhook"), len(rows("delivery")))
    expected, answered = {}, {}
    for method, rule in ours(pages):
        row = PAGES[method, rule.rule]
        for name, client in people(pages).items():
            at = (name, method, rule.rule)
            expected[at], answered[at] = getattr(row, name), ask_bare(client, method, rule, hidden)
    assert answered == expected
    assert (audit_rows(), rows("webhook"), len(rows("delivery"))) == before


def ask_bare(client, method: str, rule: Any, hidden) -> int:
    """The status; the endpoint stands at another path than the pages."""
    if PAGES[method, rule.rule] != UNKNOWN:
        response = ask(client, method, rule, hidden)
    else:
        path = f"/webhook/{hidden['webhook_id']}/{hidden['token']}"
        response = client.browser.open(path, base_url=BASE, method=method, data=b"{}")
    response.close()  # a style sheet is an open file
    return int(response.status_code)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_method_that_stands_in_no_table_shows_a_stranger_nothing(pages, hidden, method):
    for _, rule in ours(pages):
        path = rule.rule.replace("<path:", "<")
        for name in rule.arguments:
            path = path.replace(f"<{name}>", hidden.get(name, "hidden"))
        response = pages.client().browser.open(path, base_url=BASE, method=method)
        assert response.status_code in (200, 401, 404, 405), rule
        assert HIDDEN not in f"{response.text}{response.headers}"
        response.close()


def test_the_plugin_serves_nothing_else(pages):
    from inbound_webhooks.plugin import InboundWebhooksPlugin

    plugin = InboundWebhooksPlugin()
    assert [it.name for it in plugin.flask_blueprints] == ["inbound_webhooks", "inbound_webhooks_assets"]
    views = {type(it["view"]).__name__ for it in plugin.appbuilder_views}
    assert views == {
        *("WebhooksView", "WebhookRowsView", "FormView", "SetupView", "DagsView", "HoldsView", "PreviewView"),
        *("DeliveriesView", "DeliveryListsView", "RejectionsView", "ReplayJobsView"),
        *("SamplesView", "ListeningView", "ActivityView", "ExportView", "DocumentationView", "WaitsView"),
    }
    assert [it["url_prefix"] for it in plugin.fastapi_apps] == ["/webhooks/api"]
    assert [it["name"] for it in plugin.fastapi_root_middlewares] == ["Webhook guard"]
    assert plugin.appbuilder_menu_items == []
