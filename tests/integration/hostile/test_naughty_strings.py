"""The Big List of Naughty Strings, wherever a sender can put text: it arrives as it is, and harms nothing."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree

from tests.infrastructure.environment import CHECKOUT
from tests.infrastructure.webhooks_builder import runs, store_webhook
from tests.integration.hostile.case import Case, head, post
from tests.integration.hostile.site import Site

STRINGS = json.loads((CHECKOUT / "tests/vendor/naughty-strings/blns.json").read_text())

FORM = b"Content-Type: application/x-www-form-urlencoded"
TEXT = b"Content-Type: text/plain; charset=utf-8"


def sent(site: Site, request: bytes) -> dict[str, Any]:
    """The conf of the run that a request starts."""
    (reply,) = site.send(Case([request], 202))
    assert reply.status == 202, reply
    site.dispatch()
    (stored,) = site.stored()
    (run,) = [run for run in runs() if run.run_id == f"webhook__{stored.id}"]
    conf: dict[str, Any] = run.conf
    return conf


def test_the_list_is_whole():
    assert len(STRINGS) == 485


def test_each_arrives_in_a_json_body(site: Site):
    body = json.dumps(STRINGS, ensure_ascii=False).encode()
    assert sent(site, post(site.target.path(), body))["value"] == STRINGS


def test_each_arrives_as_a_key_of_json(site: Site):
    body = json.dumps(dict.fromkeys(STRINGS, 1)).encode()
    assert sent(site, post(site.target.path(), body))["value"] == dict.fromkeys(STRINGS, 1)


def test_each_arrives_in_a_text(site: Site):
    text = "\n".join(STRINGS)
    assert sent(site, post(site.target.path(), text.encode(), type=TEXT))["value"] == text


def test_each_arrives_in_a_form(site: Site):
    body = "&".join(f"field={quote_plus(string)}" for string in STRINGS).encode()
    assert sent(site, post(site.target.path(), body, type=FORM))["field"] == STRINGS


def test_each_arrives_in_a_query(site: Site):
    query = "&".join(f"naughty={quote(string)}" for string in STRINGS).encode()
    assert sent(site, post(site.target.path() + b"?" + query))["query"]["naughty"] == STRINGS


def test_each_arrives_in_a_header(site: Site):
    """As the bytes of its UTF-8, read as Latin-1: HTTP knows no other letters."""
    able = [string.strip() for string in STRINGS if not re.search(r"[\x00-\x1f\x7f]", string)]
    lines = [f"X-N{number}: {string}".encode() for number, string in enumerate(able)]
    headers = sent(site, post(site.target.path(), b"{}", *lines))["headers"]
    arrived = [headers[f"X-N{number}"][0] for number in range(len(able))]
    assert arrived == [string.encode().decode("latin-1") for string in able]


GROUPS = [STRINGS[i : i + 100] for i in range(0, len(STRINGS), 100)]
FIELDS = [f"${{Webhook::Query.n{number}}}" for number in range(100)]


def echoed(site: Site, content_type: str, template: str) -> list[str]:
    """What a webhook answers whose template writes FIELDS, asked with a group of the strings at a time."""
    hook = store_webhook(content_type, response_content_type=content_type, response_template=template)
    responses = []
    for group in GROUPS:
        query = "&".join(f"n{number}={quote(string)}" for number, string in enumerate(group))
        (reply,) = site.send(Case([head(b"GET", site.target.path(hook) + b"?" + query.encode())], 200))
        assert (reply.status, reply.headers["Content-Type"].partition(";")[0]) == (200, content_type)
        responses.append(reply.body.decode())
    return responses


def test_each_is_itself_in_an_answer_of_text(site: Site):
    responses = echoed(site, "text/plain", "\n".join(FIELDS))
    assert [
        response.split("\n")[: len(group)] for response, group in zip(responses, GROUPS, strict=True)
    ] == GROUPS


def test_each_is_itself_in_an_answer_of_json(site: Site):
    parts = [f'{field}, "-{field}-"' for field in FIELDS]
    responses = [json.loads(it) for it in echoed(site, "application/json", f"[{', '.join(parts)}]")]
    expected = [[written for string in group for written in (string, f"-{string}-")] for group in GROUPS]
    assert [response[: 2 * len(group)] for response, group in zip(responses, GROUPS, strict=True)] == expected


def test_each_is_itself_in_an_answer_of_xml(site: Site):
    parts = [f"<b c='{field}'>{field}</b>" for field in FIELDS]
    roots = [ElementTree.fromstring(it) for it in echoed(site, "application/xml", f"<a>{''.join(parts)}</a>")]
    heard = [element.text or "" for root in roots for element in root]
    assert heard[: len(STRINGS)] == [xml_of(string) for string in STRINGS]


def xml_of(string: str) -> str:
    """The same with a sign in place of each character that XML cannot hold."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", string)


def test_each_in_the_place_of_a_token_opens_nothing(site: Site):
    base, hook = site.target.base.encode(), site.target.orders.id.encode()
    for string in STRINGS:
        path = base + b"/" + hook + b"/" + quote(string, safe="").encode()
        (reply,) = site.send(Case([post(path)], 404))
        assert reply.status == 404
    assert site.stored() == []
