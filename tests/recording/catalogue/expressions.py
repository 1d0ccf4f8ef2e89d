"""Expressions over a request, conversions of conf, filters, templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any
from urllib.parse import urlsplit

from tests.infrastructure.pages import blocks, code, page, section, tables
from tests.recording.catalogue.requests import JSON, single
from tests.recording.scenario import Scenario

PAGE = page("docs/expressions.md")

FORM = ("Content-Type", "application/x-www-form-urlencoded")
TEXT = ("Content-Type", "text/plain")
XML = ("Content-Type", "application/xml")
BINARY = ("Content-Type", "application/octet-stream")

SOURCES = (
    "${Webhook::Body}", "${Webhook::Headers}", "${Webhook::Query}", "${Webhook::Delivery}",
    "${Webhook::Delivery.id}", "${Webhook::Delivery.received_at}", "${Webhook::Delivery.source_ip}",
    "${Webhook::Delivery.event_type}", "id ${Webhook::Delivery.id}", "${Webhook::Body.items}",
    "${Webhook::Body.items[5]}", "${Webhook::Body.items[-3]}", "${Webhook::Body.labels[0]}",
    "${Webhook::Body.note.length}", "${Webhook::Body.total[0]}", "${Webhook::Headers.Host}",
    "${Webhook::Headers.content-type}", "${Webhook::Headers.Missing}", "${Webhook::Query.missing}",
    "${Webhook::Query.tag[7]}", "a ${Webhook::Body.missing} b", "a ${Webhook::Body.Customer.Email} b",
    "a ${Webhook::Body.items} b", "${Webhook::Body.Customer.Name} ${Webhook::Query.user}", "plain", "",
    " ${Webhook::Body.created} ", "$${Webhook::Body.ref}", "{{ body }}", "{{ query }}",
    "{{ headers | length }}",
    "{{ delivery.received_at }}", "{{ delivery.id | length }}", "{{ delivery.webhook | length }}",
    "{{ body.missing }}", "{{ body.missing.deeper }}", "{{ body.missing | default({}) }}",
    "{{ body.total | float + 0.1 }}", "{{ body.total | int(3) }}", "{{ body.created | to_datetime }}",
    '{{ "2026-02-30" | to_datetime }}', '{{ "01/02/2026" | to_datetime("DD/MM/YYYY") }}',
    '{{ "2026-01-01T12:00:00+02:00" | to_datetime }}', "{{ 1767225600123 | to_datetime }}",
    "{{ body.labels | join }}", "{{ body.items | tojson }}", "{{ body.items | first }}",
    "{{ body.ref[-4:] }}",
    "{{ body.ref[::2] }}", "{{ body.items[0].id / 0 }}", "{{ body.items[0].id - body.total }}",
    "{{ body.labels + [1] }}", '{{ body.ref < "z" }}', "{{ body.ref < 1 }}", "{{ not body.labels }}",
    "{{ body.payload | fromjson }}", "{{ body.note | fromjson }}", "{{ body.note | b64decode }}",
    '{{ body.note | hmac_sha256("k") }}', "{{ body | sha256 }}", "{{ body.labels | upper }}",
    "{{ body.created | string }}", "{{ body.Customer | length }}", "{{ body.created | length }}",
    '{{ body.ref | replace("a", "b") | upper | lower }}', "{{ [1, [3]] }}",
    "{% if body.labels %}x{% elif body.note %}y{% else %}z{% endif %}", "{{ 1 if body.missing }}",
    '{{ body["odd key"] }}', '{{ body["no"]["way"] }}',
    "{{ 'a' ~ none }}", "{{ true and none }}", "{{ body.items[1]['sku'] }}",
)  # fmt: skip

SCHEMAS = {
    "string": {"type": "string"}, "integer": {"type": "integer"}, "number": {"type": "number"},
    "boolean": {"type": "boolean"}, "object": {"type": "object"}, "array": {"type": "array"},
    "null_string": {"type": ["null", "string"]}, "null_integer": {"type": ["null", "integer"]},
    "short": {"type": "string", "maxLength": 3}, "small": {"type": "integer", "minimum": 1, "maximum": 9},
    "one_of": {"enum": ["a", "b"]}, "date": {"type": "string", "format": "date-time"}, "any": {},
    "string_integer": {"type": ["integer", "string"]},
}  # fmt: skip
"""Param of the DAG `typed` -> its schema; its default is DEFAULTS[param], or null."""

DEFAULTS = {
    "string": "default", "integer": 7, "number": 7.5, "boolean": False, "object": {}, "array": [],
    "null_string": None, "null_integer": None, "short": "abc", "small": 5, "one_of": "a",
    "date": "2026-01-01T00:00:00+00:00", "any": "default", "string_integer": 1,
}  # fmt: skip

VALUES = (
    '"text"', '"12"', '"1.5"', '"true"', '"yes"', '"null"', '""', '" 7 "', '"[1]"', '"{\\"a\\": 1}"', '"a"',
    '"2026-03-01T10:00:00Z"', "5", "5.0", "5.5", "1e300", "12345678901234567890", "true",
    "null", "[1, \"x\"]", '{"b": {"c": null}}', '"\\u00e4\\ud83d\\ude00"',
)  # fmt: skip

CONTENTS = (
    ("json", JSON, b'{"a": [1, 2.50, "x"], "b": null}'), ("json list", JSON, b"[1, 2]"),
    ("json text", JSON, b'"x"'), ("json null", JSON, b"null"), ("no json", JSON, b"{"),
    ("empty json", JSON, b""),
    ("json with charset", ("Content-Type", "application/json; charset=utf-8"), b'{"a": "\xc3\xa4"}'),
    ("+json", ("Content-Type", "application/vnd.x+json"), b'{"a": 1}'),
    ("form", FORM, b"a=1&b=2&b=3&c=%C3%A4"), ("empty form", FORM, b""), ("text", TEXT, "ä text".encode()),
    ("latin-1 text", ("Content-Type", "text/plain; charset=latin-1"), b"\xe4"),
    ("broken text", TEXT, b"\xff"),
    ("xml", XML, b"<a>1</a>"), ("text/xml", ("Content-Type", "text/xml"), b"<a/>"),
    ("+xml", ("Content-Type", "application/rss+xml"), b"<a/>"),
    ("html", ("Content-Type", "text/html"), b"<p>"),
    ("binary", BINARY, b"\x00\x01\xff"), ("csv", ("Content-Type", "text/csv"), b"a,b"),
    ("multipart", ("Content-Type", "multipart/form-data; boundary=x"), b"--x--"),
    ("no type", None, b'{"a": 1}'),
)  # fmt: skip

SEEN = {"body": "${Webhook::Body}", "a": "${Webhook::Body.a}", "query": "${Webhook::Query}"}


def dags() -> dict[str, dict[str, Any]]:
    """DAG -> its params as arguments of Airflow's Param."""
    typed = {name: {"default": DEFAULTS[name], **schema} for name, schema in SCHEMAS.items()}
    return {
        "anything": {},
        "typed": typed,
        "strict": {"number": {"default": 7, "type": "integer"}},
        "needs": {"must": {"type": "string"}},
        "orders": {"number": {"default": 1, "type": "integer"},
        "note": {"default": None, "type": ["null", "string"]}},
    }  # fmt: skip


def scenarios() -> Iterator[Scenario]:
    yield from _documented()
    for number, source in enumerate(SOURCES):
        yield _over_the_page(f"expression {number}: {source}", {"mapping": {"it": source}})
    yield from _conversions()
    yield from _contents()
    yield from _filters()
    yield from _templates()


def _request() -> dict[str, Any]:
    """The request at the top of the page."""
    (block,) = blocks(PAGE, "http")
    head, _, body = block.partition("\n\n")
    first, *lines = head.splitlines()
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return {"body": body.encode(), "query": urlsplit(first.split()[1]).query, "headers": headers}


REQUEST = _request()


def _over_the_page(name: str, webhook: dict[str, Any]) -> Scenario:
    return single(name, webhook, **REQUEST)


def _rows(title: str, number: int = 0) -> Sequence[list[str]]:
    return tables(section(PAGE, title))[number]


def _documented() -> Iterator[Scenario]:
    examples = [("Sources", 1), ("Jinja", 0), ("Filters", 0), ("Tests", 0)]
    for title, number in examples:
        for row in _rows(title, number):
            expression = code(row[-2])
            yield _over_the_page(f"documented: {expression}", {"mapping": {"it": expression}})
    for row in _rows("Limits", 2):
        yield _over_the_page(f"documented: {code(row[0])}, refused", {"mapping": {"it": code(row[0])}})
    for row in _rows("Webhook filters"):
        yield _over_the_page(f"documented: filter {code(row[0])}", {"filter": code(row[0])})
    for content_type, template, _ in _rows("Responses"):
        fields = {"response_content_type": code(content_type), "response_template": code(template)}
        yield _over_the_page(f"documented: response {code(template)}", fields)


def _conversions() -> Iterator[Scenario]:
    for param, value in product(SCHEMAS, VALUES):
        webhook = {"dag_id": "typed", "mapping": {param: "${Webhook::Body.v}"}}
        yield single(f"conversion: {value} to {param}", webhook, body=f'{{"v": {value}}}'.encode())
    for param in SCHEMAS:
        webhook = {"dag_id": "typed", "mapping": {param: "${Webhook::Body}"}}
        yield single(f"conversion: a whole body to {param}", webhook, body=b'{"v": [1, {"b": 2.0}]}')
        webhook = {"dag_id": "typed", "mapping": {param: "${Webhook::Query.v}"}}
        yield single(f"conversion: a query field to {param}", webhook, body=b"", query="v=5")
        webhook = {"dag_id": "typed", "mapping": {param: "${Webhook::Body.missing}"}}
        yield single(f"conversion: nothing to {param}", webhook, body=b"{}")
        yield single(
            f"conversion: refused with 202, {param}",
            {"dag_id": "typed", "invalid_status": 202, "mapping": {param: "x${Webhook::Body.v}"}},
            body=b'{"v": {}}',
        )
    for name, body in (("given", b'{"v": "x"}'), ("missing", b"{}"), ("null", b'{"v": null}')):
        webhook = {"dag_id": "needs", "mapping": {"must": "${Webhook::Body.v}"}}
        yield single(f"conversion: a param without a default, {name}", webhook, body=body)
        yield single(
            f"conversion: no mapping, a param without a default, {name}", {"dag_id": "needs"}, body=body
        )
        webhook = {"dag_id": "needs", "mapping": {"other": "${Webhook::Body.v}"}}
        yield single(f"conversion: another param than the DAG's, {name}", webhook, body=body)


def _contents() -> Iterator[Scenario]:
    for name, content_type, body in CONTENTS:
        more = {"headers": [content_type] if content_type else [], "body": body, "query": "q=1&q=2&e="}
        yield single(f"content: {name}", {}, **more)
        yield single(f"content: {name}, mapped", {"mapping": SEEN}, **more)
        yield single(f"content: {name}, its field", {"mapping": {"a": "${Webhook::Body.a}"}}, **more)
        yield single(f"content: {name}, not looked at", {"mapping": {"q": "${Webhook::Query.q}"}}, **more)


def _filters() -> Iterator[Scenario]:
    conditions = (
        "body.n > 1", "body.n", "not body.n", "body.missing", 'body.n == "2"', "true", "false", "body.n / 0",
        "${Webhook::Body.n}", "{{ body.n == 2 }}", 'delivery.event_type == "push"', "query.q is defined",
        'headers["X-Kind"] == "a"', "body.list | length > 2", '"x" in body.list', "body.n > body.list",
    )  # fmt: skip
    bodies = (b'{"n": 2, "list": ["x"]}', b'{"n": 0, "list": []}', b"{", b"[]")
    for condition, body in product(conditions, bodies):
        webhook = {"filter": condition, "event_type": "${Webhook::Headers.X-Kind}", "dedup": "{{ body.n }}"}
        headers = [JSON, ("X-Kind", "push")]
        yield single(f"filter: {condition} of {body.decode()}", webhook, body=body, headers=headers)


def _templates() -> Iterator[Scenario]:
    templates = {
        "application/json": (
            '{"a": ${Webhook::Body.a}, "id": ${Webhook::Delivery.id}}',
            '"${Webhook::Body.a}"',
        ),
        "text/plain": ("a ${Webhook::Body.a} ${Webhook::Delivery.id}", "{{ body.a + 1 }}"),
        "application/xml": ("<a>${Webhook::Body.a}</a>", '<a b="{{ body.a }}"/>'),
        "text/xml": ("<a>${Webhook::Body.a}</a>", "<a/>"),
    }
    values = ('"x"', '"<&\\">"', "1", "null", "[1]", '{"b": 1}', '"\\u0000"', '"\\ud800"')
    for content_type, of_type in templates.items():
        for number, template in enumerate(of_type):
            webhook = {"response_content_type": content_type, "response_template": template}
            for value in values:
                name = f"template: {content_type} {number}, {value}"
                yield single(name, webhook, body=f'{{"a": {value}}}'.encode())
            kept = webhook | {"filter": "body.go"}
            yield single(f"template: {content_type} {number}, filtered", kept, body=b'{"a": 1}')
            yield single(f"template: {content_type} {number}, GET", webhook, method="GET", query="a=1")
            yield single(f"template: {content_type} {number}, no JSON", webhook, body=b"{")
