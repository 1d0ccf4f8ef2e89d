"""Requests that only ask whether the endpoint is there, answered by a template."""

from __future__ import annotations

import pytest
import requests

from tests.acceptance.database import count_accepted
from tests.acceptance.webhooks import create_all

pytestmark = pytest.mark.parametrize("airflow", ["sqlite"], indirect=True)

JSON_TEMPLATE = """{
  "validation": ${Webhook::Query.validationToken},
  "greeting": "Hello ${Webhook::Query.user}!",
  "agent": ${Webhook::Headers.User-Agent},
  "query": ${Webhook::Query},
  "missing": ${Webhook::Query.nothing}
}"""
TEMPLATES = {
    "json": ("--dag-id", "event_log", "--response-template", JSON_TEMPLATE),
    "text": (
        *("--dag-id", "event_log", "--response-content-type", "text/plain"),
        *("--response-template", "${Webhook::Query.validationToken}"),
    ),
}
VALIDATION = 'Validation: Testing <script>"a+b"</script> ä'


@pytest.fixture(scope="module")
def templates(airflow):
    return create_all(airflow, TEMPLATES)


def verify(url: str, *, method: str = "GET") -> requests.Response:
    query = {"validationToken": VALIDATION, "user": 'O"Hara\\'}
    return requests.request(method, url, params=query, headers={"User-Agent": "Sender/1"}, timeout=60)


def test_a_json_template_is_json_whatever_the_sender_puts_into_it(templates):
    response = verify(templates["json"].url)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert response.json() == {
        "validation": VALIDATION,
        "greeting": 'Hello O"Hara\\!',
        "agent": "Sender/1",
        "query": {"validationToken": [VALIDATION], "user": ['O"Hara\\']},
        "missing": None,
    }


def test_a_plain_text_template_gives_the_token_back_and_nothing_else(templates):
    response = verify(templates["text"].url)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert response.content == VALIDATION.encode()


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_that_echoes_cannot_run_script(templates, name):
    headers = verify(templates[name].url).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["Cache-Control"] == "no-store"


def test_head_gives_the_headers_of_get_without_its_body(templates):
    got, asked = verify(templates["json"].url), verify(templates["json"].url, method="HEAD")
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["Content-Length"] == str(len(got.content))


def test_verification_leaves_neither_delivery_nor_run(airflow, templates):
    before = count_accepted(airflow)
    for method in ("GET", "HEAD", "OPTIONS"):
        assert verify(templates["text"].url, method=method).ok
    assert count_accepted(airflow) == before
