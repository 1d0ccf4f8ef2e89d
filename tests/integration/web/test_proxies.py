"""A form behind a proxy that changes its headers: the page says which header the proxy has to pass on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.infrastructure.webhooks_builder import rows

SECURE, PLAIN = "https://localhost/pluginsv2", "http://localhost/pluginsv2"
"""What Airflow sees: https where it serves TLS itself or believes the proxy's X-Forwarded-Proto."""

FORM = {
    "enabled": "y",
    "response_content_type": "application/json",
    "disabled_status": "403",
    "invalid_status": "422",
    "dag_id": "events",
    "action": "save",
    "name": "behind a proxy",
    "unknown_dag": "1",
}


@pytest.fixture
def ada(pages):
    return pages.client("ada")


def token_of_form(client) -> str:
    page = client.browser.get("/webhooks/new", base_url=SECURE)
    found = re.search(r'name="csrf-token" content="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def submit(client, *, base: str = SECURE, token: str | None = None, **headers: str) -> Any:
    """Submit the form that makes a webhook, with headers as they arrive at Airflow."""
    fields = FORM | {"csrf_token": token or token_of_form(client)}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.browser.post("/webhooks/new", base_url=base, data=fields, headers=named)


def text_of(response: Any) -> str:
    """The sentence of the page, without markup."""
    assert response.status_code == 400, response.text
    sentence = re.search(r"<p>([^<]+)</p>", response.text)
    assert sentence is not None, response.text
    return sentence[1].replace("&#39;", "'")


def test_a_form_whose_headers_arrive_is_saved(ada):
    response = submit(ada, Referer="https://localhost/pluginsv2/webhooks/new")
    assert response.status_code == 303
    assert "behind a proxy" in {row.name for row in rows("webhook")}


def test_a_proxy_that_drops_referer_is_named(ada):
    text = text_of(submit(ada))
    assert text.startswith("The form arrived without a Referer header; configure the proxy")
    assert "Referrer-Policy" in text


def test_a_proxy_that_replaces_host_is_named(ada):
    text = text_of(submit(ada, Referer="https://airflow.example.com:8443/pluginsv2/webhooks/new"))
    assert text.startswith("The page was opened at airflow.example.com:8443, but the proxy")
    assert "sends a Host header that makes it localhost;" in text
    assert "proxy_set_header Host $http_host" in text


@pytest.fixture
def proxy_fix(pages):
    """[fab] enable_proxy_fix, as Airflow's Helm chart sets it."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    plain = pages.app.wsgi_app
    pages.app.wsgi_app = ProxyFix(plain, x_proto=1, x_host=1, x_port=1)
    yield
    pages.app.wsgi_app = plain


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"X_Forwarded_Host": "upstream.internal"}, "proxy_set_header X-Forwarded-Host $http_host"),
        ({"X_Forwarded_Port": "8080"}, "proxy_set_header X-Forwarded-Port $server_port"),
        ({}, "proxy_set_header Host $http_host"),
    ],
    ids=["host", "port", "neither"],
)
def test_a_header_that_proxy_fix_reads_is_named(ada, proxy_fix, headers, message):
    opened = "localhost" if "X_Forwarded_Port" in headers else "airflow.example.com"
    response = submit(ada, Referer=f"https://{opened}/pluginsv2/webhooks/new", **headers)
    assert message in text_of(response)


def test_a_proxy_that_says_https_for_http_is_named(ada):
    text = text_of(submit(ada, Referer="http://localhost/pluginsv2/webhooks/new"))
    assert "opened over http" in text
    assert "X-Forwarded-Proto $scheme" in text


def test_a_browser_without_its_session_cookie_is_shown_cookies_and_base_url(pages, ada):
    other = pages.client("ada")
    text = text_of(submit(other, token=token_of_form(ada), Referer=SECURE))
    assert text.startswith("The browser sent no session cookie.")
    assert "[api] base_url" in text


def test_an_invalid_token_is_no_fault_of_a_proxy(ada):
    token_of_form(ada)
    text = text_of(submit(ada, token="nonsense", Referer=SECURE))
    assert text.startswith("Reload the page and submit the form again.")


def test_a_script_gets_the_same_sentence(ada):
    response = submit(ada, X_Requested_With="fetch")
    assert response.status_code == 400
    assert "without a Referer header" in response.json["error"]


def test_hosts_stay_text(ada):
    response = submit(ada, Referer="https://<script>alert(1)</script>/")
    assert response.status_code == 400
    assert "<script>alert" not in response.text


def test_without_https_no_header_is_missing(ada):
    assert submit(ada, base=PLAIN).status_code != 400
