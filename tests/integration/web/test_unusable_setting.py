"""A setting that cannot be used: Airflow's application starts, and the pages name the setting."""

from __future__ import annotations

import pytest

from tests.infrastructure.webhooks_builder import store_webhook
from tests.integration.web.conftest import made

NAMED = "[inbound_webhooks] max_body_bytes = &#39;much&#39; is not a whole number."


@pytest.fixture
def ada(template, monkeypatch):
    """A user of an Airflow that was started with the setting, which keeps no application of other tests."""
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_BODY_BYTES", "much")
    for pages in made("simple", template):
        yield pages.client("ada")


def test_the_list_opens_and_a_page_that_needs_the_setting_names_it(ada, monkeypatch):
    with monkeypatch.context() as before:
        before.delenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_BODY_BYTES")
        hook = store_webhook()
    assert hook.id in ada.get("/").text
    response = ada.get(f"/hook/{hook.id}")
    assert response.status_code == 503
    assert NAMED in response.text


def test_the_permission_on_plugins_waits_until_the_settings_can_be_read(monkeypatch):
    from inbound_webhooks.web.base_view import _grants_plugins

    assert _grants_plugins()
    monkeypatch.setenv("AIRFLOW__INBOUND_WEBHOOKS__MAX_BODY_BYTES", "much")
    assert not _grants_plugins()
