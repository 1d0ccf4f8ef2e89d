"""After good and bad requests of all kinds: is a secret in any file, or in clear in the database?"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import pytest
import requests

from tests.acceptance.database import everything
from tests.infrastructure.raw_http import exchange, head

AUTHORIZATION = "canary-of-the-authorization-header"
ACCESS_TOKEN = "canary-of-the-query"
WEBSOCKET = (
    *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
PUSH = {
    "repository": {"full_name": "octo/cat"},
    "ref": "refs/heads/main",
    "after": "0123456789abcdef0123456789abcdef01234567",
    "pusher": {"name": "octocat"},
}


@dataclass(frozen=True)
class Case:
    """One request; ``{id}`` and ``{token}`` in its path are those of the webhook."""

    status: int
    method: str = "POST"
    path: str = "/pluginsv2/webhook/{id}/{token}"
    body: bytes = json.dumps(PUSH).encode()
    headers: tuple[tuple[str, str], ...] = ()


CASES = {
    "accepted": Case(202),
    "verification": Case(200, method="GET"),
    "another token": Case(404, path="/pluginsv2/webhook/{id}/0{token}"),
    "an unknown id": Case(404, path="/pluginsv2/webhook/ABCDEFGHIJ/{token}"),
    "a slash at the end": Case(404, path="/pluginsv2/webhook/{id}/{token}/"),
    "two slashes inside": Case(404, path="/pluginsv2/webhook//{id}/{token}"),
    "an id in capitals": Case(404, path="/pluginsv2/webhook/{ID}/{token}/"),
    "without the id": Case(404, path="/pluginsv2/webhook/{token}"),
    "percent-encoded slash": Case(404, path="/pluginsv2/webhook/{id}%2F{token}%2F"),
    "two slashes in front": Case(404, path="//pluginsv2/webhook/{id}/{token}"),
    "two slashes in front, read": Case(404, method="GET", path="//pluginsv2/webhook/{id}/{token}"),
    "without the prefix": Case(404, path="/webhook/{id}/{token}"),
    "without the prefix, read": Case(404, method="GET", path="/webhook/{id}/{token}"),
    "the prefix twice": Case(404, path="/pluginsv2/pluginsv2/webhook/{id}/{token}"),
    "another method": Case(405, method="PUT"),
    "an encoding": Case(415, headers=(("Content-Encoding", "br"),)),
    "too large": Case(413, body=b" " * (2 * 1024 * 1024 + 1)),
    "no json": Case(400, body=b"{"),
    "a value that breaks the params": Case(422, body=json.dumps({**PUSH, "after": "HEAD"}).encode()),
}


@pytest.fixture(scope="module")
def canary(webhooks):
    """A webhook whose mapping takes neither query nor credentials into conf."""
    return webhooks["pushes"]


@pytest.fixture(scope="module")
def answered(airflow, canary):
    """Status by case, once all requests are through and the run of the good one has ended."""
    responses = {name: send(airflow, canary, case) for name, case in CASES.items()}
    abort_an_upload(airflow, canary)
    airflow.wait_for_run("github_push_build", f"webhook__{responses['accepted'].json()['delivery_id']}")
    time.sleep(1)  # what is noted off the request's way
    return {name: response.status_code for name, response in responses.items()}


def send(airflow, webhook, case: Case) -> requests.Response:
    path = case.path.format(id=webhook.id, ID=webhook.id.upper(), token=webhook.token)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {AUTHORIZATION}"}
    # A prepared URL: requests would tidy the slashes up.
    prepared = requests.Request(case.method, airflow.url, headers=headers | dict(case.headers)).prepare()
    prepared.url = f"{airflow.url}{path}?access_token={ACCESS_TOKEN}"
    if case.method != "GET":
        prepared.prepare_body(case.body, None)
    with requests.Session() as session:
        return session.send(prepared, timeout=60, allow_redirects=False)


def abort_an_upload(airflow, webhook) -> None:
    headers = ("Content-Type: application/json", "Content-Length: 500", f"Authorization: {AUTHORIZATION}")
    target = f"{webhook.path}?access_token={ACCESS_TOKEN}"
    exchange(airflow.port, head("POST", target, *headers), b'{"half":', 0.5, gone_after=True)


def secrets(webhook) -> dict[str, str]:
    return {"token": webhook.token, "authorization": AUTHORIZATION, "access token": ACCESS_TOKEN}


@pytest.mark.parametrize("name", CASES)
def test_each_request_is_answered_as_its_problem_deserves(answered, name):
    assert answered[name] == CASES[name].status


def test_the_access_log_shows_the_requests(airflow, canary, answered):
    log = airflow.log("api-server").read_text()
    assert f"path=/pluginsv2/webhook/{canary.id}/***" in log
    assert all(f"status_code={case.status}" in log for case in CASES.values())


@pytest.mark.parametrize("name", ["token", "authorization", "access token"])
def test_no_file_of_the_airflow_home_has_the_secret(airflow, canary, answered, name):
    secret = secrets(canary)[name].encode()
    files = [path for path in airflow.home.rglob("*") if path.is_file() and "airflow.db" not in path.name]
    assert any("run_id=webhook__" in str(path) for path in files)  # tasks log here as well
    assert [str(path) for path in files if secret in path.read_bytes()] == []


@pytest.mark.parametrize("name", ["token", "authorization", "access token"])
def test_the_database_has_the_secret_nowhere_in_clear(airflow, canary, answered, name):
    secret = secrets(canary)[name]
    dump = everything(airflow)
    found = [form for form in (secret, secret.encode().hex()) if form in dump]
    assert canary.id in dump
    assert found == []


@pytest.mark.parametrize("prefix", ["", "/webhook"])
def test_the_token_of_a_url_that_is_opened_as_a_websocket_is_not_logged(airflow, webhooks, prefix):
    webhook = webhooks["events"]
    reply = exchange(airflow.port, head("GET", prefix + webhook.path, *WEBSOCKET))
    time.sleep(0.5)
    lines = airflow.log("api-server").read_text().splitlines()
    assert [line for line in lines if webhook.token in line] == []
    assert 400 <= reply.status < 500
