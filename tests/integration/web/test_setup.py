"""The card of a webhook that waits for its secret or for its first verified request."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import now, rows, store_delivery, store_rejection, store_webhook

SECRET = "whsec_a secret that nobody may read"


@pytest.fixture(scope="module")
def ada(pages):
    store_dag("orders")
    return pages.client("ada")


def waiting(name: str, **more):
    return store_webhook(name, preset="stripe", **more)


def note_use(hook) -> None:
    """A request was verified with the webhook's secret."""
    from inbound_webhooks.storage.credentials import list_credentials, note_use
    from inbound_webhooks.storage.database import transaction

    with transaction() as connection:
        secret = next(one for one in list_credentials(connection, hook.id) if one.purpose)
        note_use(connection, secret, now() - timedelta(minutes=2))


def secrets_of(hook) -> list[str]:
    return [row.purpose for row in rows("secret") if row.webhook_id == hook.id]


def enter(client, hook, value: str = SECRET, **headers):
    fields = {"purpose": "signing", "value": value, "csrf_token": client.csrf_token()}
    return client.browser.post(
        f"/webhooks/hook/{hook.id}/secret",
        data=fields,
        base_url="http://localhost/pluginsv2",
        headers=headers,
    )


def test_the_form_makes_a_webhook_before_its_secret_exists(pages, ada):
    name = f"payments {pages.auth}"
    scheme = '[{"kind": "hmac", "header": "Stripe-Signature"}]'
    fields = {"name": name, "dag_id": "orders", "preset": "stripe", "enabled": "y", "action": "save"}
    fields |= {"response_content_type": "application/json", "disabled_status": "503", "invalid_status": "202"}
    page = ada.post("/new", fields | {"verification": scheme}, follow_redirects=True).text
    assert "Set up Stripe" in page
    assert "Waits for secret" in page
    assert "Waits for secret" in ada.get("/", query_string={"text": name}).text


def test_the_card_names_the_steps_and_takes_the_secret(ada):
    hook = waiting("to be set up")
    card = ada.get(f"/hook/{hook.id}").text
    assert 'data-copy="#url"' in card
    assert "Signing secret" in card
    response = enter(ada, hook)
    assert (response.status_code, secrets_of(hook)) == (303, ["signing"])
    page = ada.get(f"/hook/{hook.id}").text
    assert SECRET not in page
    assert "is stored" in page
    assert "Waits for secret" not in page


def test_a_script_gets_the_page_anew_or_the_problem_beside_the_field(ada):
    hook = waiting("by htmx")
    refused = enter(ada, hook, " spaced", **{"HX-Request": "true"})
    assert (refused.status_code, secrets_of(hook)) == (200, [])
    assert re.search(r'id="setup-problem-signing"[^>]*>It begins or ends with white space', refused.text)
    stored = enter(ada, hook, **{"HX-Request": "true"})
    assert stored.headers["HX-Redirect"].endswith(f"/hook/{hook.id}")
    assert secrets_of(hook) == ["signing"]


def test_the_last_step_is_polled_until_a_request_was_verified(ada):
    hook = waiting("followed", secrets={"signing": SECRET})
    before = ada.get(f"/hook/{hook.id}/setup")
    assert (before.status_code, "every 3s" in before.text) == (200, True)
    note_use(hook)
    after = ada.get(f"/hook/{hook.id}/setup")
    assert (after.status_code, "Done." in after.text, "hx-get" in after.text) == (286, True, False)
    assert "Set up Stripe" not in ada.get(f"/hook/{hook.id}").text


def test_a_rejected_request_is_shown_with_its_reason_until_one_is_verified(ada):
    hook = waiting("rejected", secrets={"signing": SECRET})
    store_rejection(hook, reason="The signature is <b>wrong</b>.")
    assert "The signature is &lt;b&gt;wrong&lt;/b&gt;." in ada.get(f"/hook/{hook.id}/setup").text
    note_use(hook)
    assert "wrong" not in ada.get(f"/hook/{hook.id}/setup").text


def test_a_delivery_shows_that_a_request_was_verified(ada):
    hook = waiting("with a delivery", secrets={"signing": SECRET})
    store_delivery(hook)
    assert ada.get(f"/hook/{hook.id}/setup").status_code == 286


def test_the_card_generates_a_secret_that_the_user_chooses_and_no_other(ada):
    chosen = store_webhook("a chosen secret", preset="github")
    page = ada.get(f"/hook/{chosen.id}").text
    assert 'data-random="#setup-signing"' in page
    assert "<b>Choose a secret</b>" in page
    given = store_webhook("a given secret", preset="stripe")
    page = ada.get(f"/hook/{given.id}").text
    assert 'data-random="#setup-signing"' not in page
    assert "<b>Paste the secret</b>" in page


def test_a_webhook_without_verification_has_no_card(ada):
    hook = store_webhook("the URL alone")
    assert 'id="setup"' not in ada.get(f"/hook/{hook.id}").text
    assert ada.get(f"/hook/{hook.id}/setup").status_code == 286


def test_a_viewer_gets_no_card(pages, ada):
    hook = waiting("not for viewers")
    viewer = pages.client("vera", "Viewer")
    page = viewer.get(f"/hook/{hook.id}").text
    assert ('id="setup"' in page, "Waits for secret" in page) == (False, True)
