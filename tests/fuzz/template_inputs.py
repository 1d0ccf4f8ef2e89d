"""Templates over requests that are large where it counts: a text, a list, a query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone

from hypothesis import strategies as st

from inbound_webhooks.event.request import InboundRequest

JSON = "application/json"
RECEIVED_AT = datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc)


def request(
    body: bytes, content_type: str = JSON, *, query: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> InboundRequest:
    """A POST."""
    return InboundRequest(
        method="POST",
        query_string=query,
        headers=(("Content-Type", content_type), *headers),
        body=body,
        source_ip="203.0.113.7",
        received_at=RECEIVED_AT,
    )


@dataclass(frozen=True)
class TemplateInput:
    """The parts of a definition, and the sizes of the request that it is evaluated over."""

    mapping: dict[str, str]
    filter: str | None
    response_template: str | None
    text_chars: int
    list_items: int
    query_fields: int

    def request(self) -> InboundRequest:
        """The request with these sizes."""
        body = {
            "x": "a" * self.text_chars,
            "items": [1] * self.list_items,
            "n": 17,
            "order": {"id": "4711", "lines": [{"sku": "A", "quantity": 2}]},
        }
        query = "&".join(f"{number:x}=" for number in range(self.query_fields))
        return request(json.dumps(body).encode(), query=query)


SOURCES = st.sampled_from(
    ["body", "body.x", "body.items", "body.n", "body.order", "body.order.lines[0].sku", "query", "headers",
     'headers["Content-Type"]', "body.missing", "delivery.id", "query.a"]
)  # fmt: skip
CONSTANTS = st.sampled_from(
    ["1", "0", "-1", "2.5", "1e308", "'a'", "''", "true", "none", "[]", "{}", "10 ** 9"]
)
FILTERS = st.sampled_from(
    ["length", "tojson", "string", "upper", "lower", "trim", "first", "last", "int", "float", "sha256",
     "b64encode", "b64decode", "fromjson", "default('x')", "default('x', true)", "join(',')", "split('a')",
     "replace('a', 'bb')", "replace('', 'b')", "hmac_sha256('key')", "to_datetime", "tojson(indent=2)",
     "replace('a')", "split('a', 1)", "upper(1)", "map('x')", "join"]
)  # fmt: skip
TESTS = st.sampled_from(["defined", "none", "string", "mapping", "in body", "eq 1", "eq", "number"])
OPERATORS = st.sampled_from(["+", "-", "~", "/", "//", "*", "==", "<", "in", "and", "or"])
REPETITIONS = st.sampled_from([1, 2, 5, 30, 200, 600])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} | {}".format, inner, FILTERS),
        st.builds("({} is {})".format, inner, TESTS),
        st.builds("({} {} {})".format, inner, OPERATORS, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}[{}]".format, inner, st.sampled_from(["0", "-1", "1:", "::2", "'x'", "::0"])),
        st.builds(lambda it, times: f"[{', '.join([it] * times)}]", inner, REPETITIONS),
        st.builds(lambda it, times: f"({' ~ '.join([it] * times)})", inner, REPETITIONS),
        st.builds("{{'a': {}}}".format, inner),
    )


EXPRESSIONS = st.recursive(SOURCES | CONSTANTS, _larger, max_leaves=5)
PATHS = st.sampled_from(
    ["Body", "Body.x", "Body.items[0]", "Query", "Headers.Content-Type", "Delivery.id", "Body."]
)
LINES = st.one_of(
    st.builds("{{{{ {} }}}}".format, EXPRESSIONS),
    st.builds("${{Webhook::{}}}".format, PATHS),
    st.builds("{{% if {} %}}a{{% else %}}b{{% endif %}}".format, EXPRESSIONS),
    st.text(alphabet="{}$%|[]():.a1 \n'\"", max_size=20),
)


def _mapping(line: str, more: list[str], times: int) -> dict[str, str]:
    return {f"p{number}": source for number, source in enumerate([line] * times + more)}


TEMPLATES = st.builds(
    TemplateInput,
    mapping=st.builds(_mapping, LINES, st.lists(LINES, max_size=3), st.sampled_from([1, 1, 5, 60, 100])),
    filter=st.none() | EXPRESSIONS,
    response_template=st.none()
    | st.builds(lambda line, times: line * times, LINES, st.sampled_from([1, 1, 10, 60])),
    text_chars=st.sampled_from([0, 10, 10_000, 2_000_000]),
    list_items=st.sampled_from([0, 10, 10_000, 500_000]),
    query_fields=st.sampled_from([0, 1, 8_000]),
)
