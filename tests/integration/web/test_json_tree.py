"""The tree of a request: what it shows, what its paths mean, and where it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.engine import compile_expression
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.values import to_json_value
from inbound_webhooks.web.json_tree import MAX_CHILDREN, MAX_DEPTH, MAX_NODES, TreeNode, request_tree

JSON = (("Content-Type", "application/json"),)
NAMES = st.one_of(
    st.sampled_from(["a", "a.b", "b", "a b", 'a"b', "a\\b", "0", "", "${", "}"]), st.text(max_size=5)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(NAMES, parts, max_size=4),
    max_leaves=12,
)


def nodes_of(tree: list[TreeNode]) -> Iterator[TreeNode]:
    for node in tree:
        yield node
        yield from nodes_of(node.children)


def tree_of(value: Any) -> list[TreeNode]:
    return request_tree(json.dumps(value).encode(), JSON, "")


def evaluated(source: str, body: bytes, headers: Any = JSON, query: str = "") -> Any:
    request = InboundRequest(
        method="POST",
        query_string=query,
        headers=headers,
        body=body,
        source_ip="",
        received_at=datetime.now(timezone.utc),
    )
    sources = DataSources(request, body, delivery_id="", webhook="")
    return to_json_value(compile_expression(f"${{Webhook::{source}}}").evaluate(sources))


@given(value=VALUES)
def test_the_path_of_each_node_leads_to_its_value(value: Any) -> None:
    body = json.dumps(value).encode()
    for node in nodes_of(request_tree(body, JSON, "")):
        if node.kind == "text" and node.source.startswith("Body"):
            assert evaluated(node.source, body) == node.value
        elif node.kind in ("object", "list") and node.source.startswith("Body"):
            assert len(evaluated(node.source, body)) == len(node.children) + node.more


def test_headers_and_query_have_their_values_unwrapped_and_repeated_ones_as_a_list() -> None:
    headers = (("X-One", "1"), ("X-Two", "a"), ("X-Two", "b"))
    tree = {node.source: node.value for node in nodes_of(request_tree(b"", headers, "q=1&q=2&r=3"))}
    assert tree["Headers.X-One"] == "1"
    assert tree["Headers.X-Two[1]"] == "b"
    assert (tree["Query.q[0]"], tree["Query.r"]) == ("1", "3")
    assert evaluated("Headers.X-Two[1]", b"", headers) == "b"


def test_the_fields_of_a_form_are_parts_of_the_body() -> None:
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    tree = {node.source: node.value for node in nodes_of(request_tree(b"From=Ada&To=Bob", form, ""))}
    assert (tree["Body.From"], tree["Body.To"]) == ("Ada", "Bob")


def test_a_body_that_does_not_fit_its_type_is_shown_as_text() -> None:
    [body, *_] = request_tree(b"{broken", JSON, "")
    assert (body.kind, body.value, body.children) == ("text", "{broken", [])


def test_a_long_list_hides_no_value_beside_it() -> None:
    [body, *_] = tree_of({"long": [{"x": 1}] * 5_000, "last": "here"})
    long, last = body.children
    assert (last.name, last.value) == ("last", "here")
    assert (len(long.children), long.more) == (MAX_CHILDREN, 5_000 - MAX_CHILDREN)


def test_a_tree_is_bounded_in_nodes_and_depth() -> None:
    deep: Any = 1
    for _ in range(50):
        deep = {"a": deep}
    wide = {str(number): {str(part): part for part in range(20)} for number in range(90)}
    assert len(list(nodes_of(tree_of(wide)))) <= MAX_NODES
    assert max(node.level for node in nodes_of(tree_of(deep))) == MAX_DEPTH


def test_a_path_that_no_expression_can_spell_is_left_out() -> None:
    [body, *_] = tree_of({"a\nb": {"c": 1}})
    assert [node.source for node in nodes_of(body.children)] == ["", ""]
