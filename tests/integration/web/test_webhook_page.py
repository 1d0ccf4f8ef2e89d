"""A webhook's page: making, changing, refusing, rotating, deleting; and what never stands in it."""

from __future__ import annotations

import html
import json
import re

import pytest

from inbound_webhooks.presets import PRESETS
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.outdated_tables import RUN_MIGRATE, outdated_tables
from tests.infrastructure.webhooks_builder import audit_rows, change_webhook, rows, store_webhook, token_of

SECRET = "a secret that nobody may read"
MARKUP = "<script>alert('{{ 7 }}')</script>\"><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def ada(pages):
    """An admin; there are the DAGs `orders`, which takes a required integer, and `events`."""
    from airflow.sdk import Param

    store_dag("orders", params={"number": Param(type="integer", description="Which <b>order</b>")})
    store_dag("events")
    return pages.client("ada")


def form(**fields: str) -> dict[str, str]:
    """What a browser sends of an untouched form, with some fields filled in."""
    untouched = {
        "enabled": "y",
        "response_content_type": "application/json",
        "disabled_status": "403",
        "invalid_status": "422",
    }
    return untouched | {"dag_id": "events", "action": "save", **fields}


def stored(name: str):
    return next(row for row in rows("webhook") if row.name == name)


def test_a_new_webhook_is_stored_and_its_page_shows_url_and_curl(pages, ada):
    response = ada.post("/new", form(name=f"fresh {pages.auth}"), follow_redirects=True)
    hook = stored(f"fresh {pages.auth}")
    assert response.status_code == 200
    assert f"/webhook/{hook.id}/{token_of(hook.id)}" in response.text
    assert "curl -X POST" in response.text


def test_the_audit_log_names_the_user(pages, ada):
    ada.post("/new", form(name="audited"))
    made = [row for row in audit_rows() if row.event == "webhook.create" and "audited" in row.extra]
    assert [(row.owner, row.dag_id) for row in made] == [("ada", "events")]


def test_every_mistake_is_named_beside_its_field_and_nothing_typed_is_lost(ada):
    typed = form(
        name=" ", dag_id="events", filter="body.", response_template='{"a": }', max_per_second="many",
        mapping_name="number", mapping_expression="${Webhook::Nowhere}",
    )  # fmt: skip
    response = ada.post("/new", typed, script=True)
    assert response.status_code == 422
    assert response.json["problems"].keys() >= {
        "name", "filter", "response_template", "max_per_second", "mapping:number",
    }  # fmt: skip
    page = ada.post("/new", typed)
    assert page.status_code == 422
    for value in ("body.", '{"a": }', "many", "${Webhook::Nowhere}"):
        assert html.escape(value).replace("&#x27;", "&#39;") in page.text.replace("&#34;", "&quot;")


def test_limits_are_stored_shown_again_and_refused_beside_their_fields(ada):
    limits = {"max_per_second": "3", "max_backlog": "4", "max_active_runs": "5"}
    page = ada.post("/new", form(name="limited", **limits), follow_redirects=True).text
    made = stored("limited")
    assert (made.max_per_second, made.max_backlog, made.max_active_runs) == (3, 4, 5)
    for name, value in limits.items():
        (shown,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', page)
        assert f'value="{value}"' in shown
    refused = ada.post("/new", form(name="too small", **dict.fromkeys(limits, "0")), script=True)
    assert list(refused.json["problems"]) == list(limits)


@pytest.mark.parametrize("field", ["max_backlog", "max_active_runs"])
def test_a_limit_of_nothing_is_refused_beside_its_field(ada, field):
    response = ada.post("/new", form(name="too small", **{field: "0"}), script=True)
    assert list(response.json["problems"]) == [field]


def test_a_field_that_the_page_did_not_show_stays_as_it_is_stored(ada):
    """A page that was loaded before an upgrade knows fewer fields than the webhook has."""
    hook = store_webhook(
        "older page", dag_id="events", max_backlog=7, notify_failure=["a@example.com"], event_type="x"
    )
    fields = form(name="older page", filter="body.a", event_type="", version="1")
    assert ada.post(f"/hook/{hook.id}", fields, script=True).status_code == 200
    saved = stored("older page")
    assert (saved.max_backlog, json.loads(saved.notify_failure)) == (7, ["a@example.com"])
    assert (saved.filter, saved.event_type) == ("body.a", None)


def test_a_secret_is_written_and_never_shown_again(ada):
    fields = form(name="signed", preset="github") | {"secret:signing": SECRET}
    scheme = '[{"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="}]'
    response = ada.post("/new", fields | {"verification": scheme}, follow_redirects=True)
    assert "stored" in response.text
    assert SECRET not in response.text
    refused = ada.post("/new", fields | {"verification": scheme, "name": " "})
    assert refused.status_code == 422
    assert SECRET not in refused.text


def test_a_secret_that_cannot_be_used_is_refused_beside_its_field(ada):
    scheme = '[{"kind": "hmac", "header": "X-Hub-Signature-256", "prefix": "sha256="}]'
    fields = form(name="unsigned", preset="github", verification=scheme) | {"secret:signing": " a secret"}
    response = ada.post("/new", fields, script=True)
    assert response.json["problems"] == {"secrets:signing": ["It begins or ends with white space"]}
    page = ada.post("/new", fields).text
    assert re.search(r'name="secret:signing"[^>]*aria-invalid="true"', page)
    assert re.search(r'data-problem="secrets:signing">\s*It begins', page)


def verification_of(name: str):
    return json.loads(stored(name).verification)


def test_a_sender_whose_keys_are_fetched_needs_no_secret(ada):
    verification = json.dumps([dict(scheme) for scheme in PRESETS["aws-sns"].verification])
    fields = form(name="topic", preset="aws-sns", handshake="sns", verification=verification)
    assert ada.post("/new", fields | {"refresh_keys": "y"}, script=True).status_code == 200
    assert "Waits for secret" not in ada.get(f"/hook/{stored('topic').id}").text
    assert [scheme["refresh_keys"] for scheme in verification_of("topic")] == [True]


def test_the_box_for_fetched_keys_shows_what_is_stored_and_takes_it_back(ada):
    hook = store_webhook("fetching", dag_id="events", preset="aws-sns", refresh_keys=True, enabled=False)
    page = ada.get(f"/hook/{hook.id}").text
    assert re.search(r'<input[^>]*checked[^>]*name="refresh_keys"', page)
    assert "&#34;refresh_keys&#34;" not in page
    fields = form(
        name="fetching", preset="aws-sns", verification=json.dumps(verification_of("fetching")), version="1"
    )
    del fields["enabled"]
    assert ada.post(f"/hook/{hook.id}", fields, script=True).status_code == 200
    assert ["refresh_keys" in scheme for scheme in verification_of("fetching")] == [False]


def test_a_sender_that_publishes_no_keys_is_refused_beside_the_box(ada):
    response = ada.post("/new", form(name="no keys", preset="github", refresh_keys="y"), script=True)
    assert list(response.json["problems"]) == ["refresh_keys"]


def test_the_events_that_a_sender_names_are_offered(ada):
    assert "push" in ada.json("/senders/github.json")["events"]


def test_a_change_is_refused_when_another_user_was_quicker(ada):
    hook = store_webhook("raced", dag_id="events")
    first = ada.post(f"/hook/{hook.id}", form(name="raced 1", version="1"), script=True)
    second = ada.post(f"/hook/{hook.id}", form(name="raced 2", version="1"), script=True)
    assert (first.status_code, second.status_code) == (200, 409)
    assert stored("raced 1").version == 2


def test_a_change_keeps_a_secret_that_was_not_typed_again(ada):
    hook = store_webhook("kept", dag_id="events", preset="github", secrets={"signing": SECRET})
    before = [row.encrypted for row in rows("secret") if row.webhook_id == hook.id]
    page = ada.get(f"/hook/{hook.id}").text
    verification = html.unescape(re.search(r'name="verification"[^>]*>\s*(.*?)</textarea>', page, re.S)[1])
    fields = form(name="kept", preset="github", verification=verification, version="1", filter="body.ref")
    assert ada.post(f"/hook/{hook.id}", fields, script=True).status_code == 200
    assert stored("kept").filter == "body.ref"
    assert [row.encrypted for row in rows("secret") if row.webhook_id == hook.id] == before


def test_a_name_that_is_taken_is_refused_beside_the_name(ada):
    store_webhook("taken", dag_id="events")
    assert list(ada.post("/new", form(name="taken"), script=True).json["problems"]) == ["name"]


@pytest.mark.parametrize("path", ["/", "/hook/0123456789"])
def test_a_page_reports_outdated_tables_with_the_fix(ada, path):
    with outdated_tables():
        page = ada.get(path)
    assert page.status_code == 503
    assert html.escape(RUN_MIGRATE) in page.text


def test_a_name_that_is_another_webhooks_id_is_refused_beside_the_name(ada):
    other = store_webhook("with an id", dag_id="events")
    problems = ada.post("/new", form(name=other.id), script=True).json["problems"]
    assert problems == {"name": ["It is the id of another webhook; choose another name"]}


def test_the_dags_params_stand_in_the_form_with_type_and_description(ada):
    page = ada.get("/new?dag=orders").text
    assert 'value="number"' in page
    assert "integer" in page
    assert "required" in page
    assert "Which &lt;b&gt;order&lt;/b&gt;" in page


def test_markup_in_every_field_stays_text(ada):
    fields = dict.fromkeys(
        ("filter", "dedup", "handshake", "verification", "preset", "allowed_addresses"), MARKUP
    )
    more = dict.fromkeys(("response_template", "max_per_second", "name", "dag_id", "version"), MARKUP)
    mapping = {"mapping_name": MARKUP, "mapping_expression": MARKUP}
    page = ada.post("/new", form(**fields | more | mapping)).text
    assert "<script>alert" not in page
    assert "<img" not in page
    store_webhook(MARKUP, dag_id=MARKUP)
    listed = ada.get("/", query_string={"text": MARKUP}).text
    assert "&lt;script&gt;" in listed
    assert "<script>alert" not in listed


def test_a_picked_sender_fills_the_form_without_a_script_too(ada):
    page = ada.post("/new", form(name="shop", preset="stripe", action="sender")).text
    assert "Stripe-Signature" in page
    assert "Endpoint URL" in page
    assert 'value="shop"' in page


def test_a_rotation_shows_another_url(ada):
    hook = store_webhook("rotated", dag_id="events")
    response = ada.post(f"/hook/{hook.id}/rotate", {"grace_hours": "24"}, follow_redirects=True)
    assert response.status_code == 200
    assert token_of(hook.id) != hook.token
    assert len([row for row in rows("token") if row.webhook_id == hook.id]) == 2


def test_deleting_asks_first_where_no_script_did(ada):
    hook = store_webhook("doomed", dag_id="events")
    assert "Delete the webhook doomed" in ada.post(f"/hook/{hook.id}/delete").text
    assert stored("doomed")
    ada.post(f"/hook/{hook.id}/delete", {"confirmed": "1"})
    assert "doomed" not in [row.name for row in rows("webhook")]


def test_several_are_disabled_at_once(ada):
    hooks = [store_webhook(f"one of several {number}", dag_id="events") for number in range(3)]
    ids = [("id", hook.id) for hook in hooks]
    ada.post("/bulk", [("do", "disable"), *ids])
    assert {stored(hook.name).enabled for hook in hooks} == {False}


def test_after_a_change_the_way_back_leads_to_no_other_site(ada):
    hook = store_webhook("back", dag_id="events")
    for back in ("https://evil.example/", "//evil.example", "/pluginsv2/webhooks\\@evil.example"):
        response = ada.post(f"/hook/{hook.id}/enabled", {"enabled": "0", "back": back})
        assert response.location == "/pluginsv2/webhooks/"


def test_a_change_without_the_token_of_a_form_is_refused(pages, ada):
    hook = store_webhook("forged", dag_id="events")
    response = ada.browser.post(f"/webhooks/hook/{hook.id}/delete", data={"confirmed": "1"})
    assert response.status_code == 400
    assert stored("forged")


def test_a_page_leaves_no_session_of_the_database_behind(ada):
    from airflow import settings

    ada.get("/")
    assert not settings.Session.registry.has()


def test_the_session_has_a_name_and_a_path_of_its_own(pages):
    response = pages.client("ada").get("/")
    (cookie,) = response.headers.getlist("Set-Cookie")
    assert cookie.startswith("webhooks_session=")
    assert "Path=/pluginsv2" in cookie
    assert "HttpOnly" in cookie


@pytest.mark.parametrize("path", ["enabled", "rotate", "delete"])
def test_a_webhook_that_is_named_like_anothers_id_is_left_alone(ada, path):
    hook = store_webhook(f"meant {path}", dag_id="events")
    decoy = store_webhook(f"decoy {path}", dag_id="events")
    change_webhook(decoy.id, name=hook.id)
    ada.post(f"/hook/{hook.id}/{path}", {"enabled": "0", "grace_hours": "0", "confirmed": "1"})
    left = stored(hook.id)
    assert (left.enabled, left.version, token_of(decoy.id)) == (True, 2, decoy.token)


@pytest.mark.parametrize(
    ("hours", "sentence"), [("0", "The old one is gone."), ("24", "The old one keeps working")]
)
def test_after_a_rotation_the_page_says_what_became_of_the_old_url(ada, hours, sentence):
    hook = store_webhook(f"rotated for {hours}", dag_id="events")
    form = {"grace_hours": hours, "confirmed": "1"}
    assert sentence in ada.post(f"/hook/{hook.id}/rotate", form, follow_redirects=True).text


def test_it_is_put_on_hold_and_released(ada):
    hook = store_webhook("to be held", dag_id="events")
    ada.post(f"/hook/{hook.id}/hold", {"hold": "1"})
    assert stored(hook.name).hold == "held"
    page = ada.get(f"/hook/{hook.id}").text
    assert "It is on hold." in page
    assert "Release</button>" in page
    assert ">At most, a minute</label>" in page
    assert ">Only between</label>" in page
    assert "Put on hold" not in page
    ada.post(f"/hook/{hook.id}/hold", {"hold": "0", "per_minute": "60", "window": "22:00-06:00"})
    released = stored(hook.name)
    assert (released.hold, released.release_per_minute, released.release_window) == (
        "releasing",
        60,
        "22:00-06:00",
    )


def test_a_release_at_no_rate_is_refused(ada):
    hook = store_webhook("at no rate", dag_id="events")
    ada.post(f"/hook/{hook.id}/hold", {"hold": "1"})
    assert ada.post(f"/hook/{hook.id}/hold", {"hold": "0", "per_minute": "many"}).status_code == 422
    assert stored(hook.name).hold == "held"


def test_several_and_all_are_put_on_hold_and_released(ada):
    hooks = [store_webhook(f"one of the held {number}", dag_id="events") for number in range(2)]
    ids = [("id", hook.id) for hook in hooks]
    for act, expected in (("hold", "held"), ("release", "releasing")):
        ada.post("/bulk", [("do", act), *ids])
        assert {stored(hook.name).hold for hook in hooks} == {expected}
    ada.post("/holds", {"hold": "1"})
    assert "All webhooks are on hold" in ada.get("/").text
    assert {stored(hook.name).held_by_all for hook in hooks} == {True}
    ada.post("/holds", {"hold": "0"})
    assert {stored(hook.name).held_by_all for hook in hooks} == {False}
