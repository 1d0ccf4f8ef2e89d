"""Requests that are odd as HTTP: whole ones are taken, broken ones leave nothing behind."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass

import pytest
import requests

from tests.acceptance.database import ask, count_accepted
from tests.infrastructure.raw_http import Reply, chunk, exchange, head

BODY = b'{"a": 1}'
PACKED = gzip.compress(BODY)
BOMB = gzip.compress(b" " * (3 * 1024 * 1024))
MEGABYTE = b"x" * 1024 * 1024
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"
TO_HTTP_2 = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")


@dataclass(frozen=True)
class Case:
    """A POST and what is answered; no status where the sender does not wait for an answer."""

    statuses: set[int]
    headers: tuple[str, ...]
    parts: tuple[bytes | float, ...]
    version: str = "1.1"


CASES = {
    "a chunked body": Case({202}, (CHUNKED,), (chunk(BODY[:3]), 0.1, chunk(BODY[3:]), chunk(b""))),
    "a chunked body over the limit": Case({413}, (CHUNKED,), (*[chunk(MEGABYTE)] * 3, chunk(b""))),
    "a chunked body that breaks off": Case(set(), (CHUNKED,), (chunk(BODY), 0.3)),
    "a chunked body that is none": Case({400}, (CHUNKED,), (b"no number\r\n",)),
    "a body that breaks off": Case(set(), ("Content-Length: 100",), (BODY, 0.3)),
    "a body that never ends": Case({408}, ("Content-Length: 100",), (BODY,)),
    "a body that drips": Case({408}, (LENGTH,), (b"{", 1.2, b'"', 1.2, b"a")),
    "a length over the limit": Case({413}, ("Content-Length: 2097153",), ()),
    "a body over the limit": Case({413}, ("Content-Length: 3145728",), (MEGABYTE, MEGABYTE, MEGABYTE)),
    "two lengths": Case({400}, (LENGTH, "Content-Length: 3"), (BODY,)),
    "a length and chunks": Case({400}, ("Content-Length: 3", CHUNKED), (chunk(BODY), chunk(b""))),
    "an upgrade to HTTP/2": Case({202, 400, 408}, (LENGTH, *TO_HTTP_2), (BODY,)),
    "HTTP/1.0": Case({202}, (LENGTH,), (BODY,), version="1.0"),
    "a sender that waits for leave": Case({202}, (LENGTH, "Expect: 100-continue"), (0.2, BODY)),
    "a packed body": Case({202}, ("Content-Encoding: gzip", f"Content-Length: {len(PACKED)}"), (PACKED,)),
    "a bomb": Case({413}, ("Content-Encoding: gzip", f"Content-Length: {len(BOMB)}"), (BOMB,)),
    "an unknown encoding": Case({415}, ("Content-Encoding: br", LENGTH), (BODY,)),
    "no body at all": Case({202}, ("Content-Length: 0",), ()),
}


@pytest.fixture(scope="module", autouse=True)
def logged_before(airflow) -> int:
    """Where this module's part of the api-server's log begins: others look for faults that they cause."""
    return len(airflow.log("api-server").read_text())


def send(airflow, webhook, case: Case) -> Reply:
    top = head("POST", webhook.path, "Content-Type: application/json", *case.headers, version=case.version)
    return exchange(airflow.port, top, *case.parts, gone_after=not case.statuses)


def stored_bodies(airflow, webhook) -> list[bytes]:
    statement = f"SELECT body FROM inbound_webhook_delivery WHERE webhook_id = '{webhook.id}' ORDER BY id"
    return [bytes(body) for (body,) in ask(airflow, statement)]


@pytest.mark.parametrize("name", CASES)
def test_a_delivery_is_stored_where_and_only_where_202_is_answered(airflow, webhooks, name):
    case, before = CASES[name], count_accepted(airflow)
    reply = send(airflow, webhooks["events"], case)
    if case.statuses:
        assert reply.status in case.statuses, reply
    else:
        time.sleep(1)  # the server's time to notice, and to do the wrong thing
    assert count_accepted(airflow) - before == (reply.status == 202)


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED])
def test_a_body_that_the_server_loses_on_an_upgrade_is_never_accepted(airflow, webhooks, framing):
    """Java's client asks for h2c with each plain request; uvicorn then drops what follows the headers."""
    body = chunk(BODY) + chunk(b"") if framing == CHUNKED else BODY
    reply = send(airflow, webhooks["events"], Case({202, 400}, (framing, *TO_HTTP_2), (body,)))
    assert reply.status != 202 or stored_bodies(airflow, webhooks["events"])[-1] == BODY


def test_a_packed_body_is_stored_as_it_came(airflow, webhooks):
    send(airflow, webhooks["events"], CASES["a packed body"])
    assert stored_bodies(airflow, webhooks["events"])[-1] == PACKED


def test_after_all_that_the_server_answers_and_has_no_problem_in_its_log(airflow, webhooks, logged_before):
    assert requests.get(webhooks["events"].url, timeout=60).status_code == 200
    log = airflow.log("api-server").read_text()[logged_before:]
    assert "action=endpoint_error" not in log
    assert "status_code=500" not in log
