"""Definitions: files of YAML with aliases, merges and odd values, and bodies of the REST API."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.fuzz.template_inputs import LINES

NAMES = st.sampled_from(
    ["name", "dag_id", "preset", "mapping", "filter", "dedup", "event_type", "response_template", "enabled",
     "response_content_type", "response_status", "verification", "handshake", "allowed_addresses", "version",
     "max_per_second", "max_backlog", "notify_failure", "secrets", "description", "unknown"]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(max_size=10),
        LINES,
        st.sampled_from(["github", "slack", "sns", "twitter", "text/plain", "10.0.0.0/8", "ops@corp.local"]),
        st.sampled_from(["env:SECRET", "connection:it", "header-key", "hmac", "basic", "a" * 100_000]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "header", "a", "signing"]) | st.text(max_size=5), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def _definition(fields: dict[str, Any]) -> dict[str, Any]:
    return {"name": "orders", "dag_id": "orders", **fields}


DEFINITIONS = st.builds(_definition, st.dictionaries(NAMES, VALUES, max_size=4))


def _aliases(levels: int, width: int, field: str) -> str:
    """Nine lines that stand for a billion items, as in the attack of that name."""
    lines = ["x-0: &a0 [a]"]
    for level in range(1, levels):
        lines.append(f"x-{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join([*lines, f"webhooks: [{{name: orders, dag_id: orders, {field}: *a{levels - 1}}}]"])


YAML_TEXTS = st.one_of(
    st.builds(
        lambda its: yaml.safe_dump({"webhooks": its}, allow_unicode=True), st.lists(DEFINITIONS, max_size=3)
    ),
    st.builds(_aliases, st.integers(1, 9), st.integers(1, 9), NAMES),
    st.sampled_from(
        [
            "webhooks: &a [*a]",
            "webhooks:\n- &a {name: x, dag_id: y, mapping: {<<: *a}}",
            "webhooks: [{name: !!python/name:os.system '', dag_id: x}]",
            "webhooks: [{name: 1e1000, dag_id: 0o17, mapping: {? [a] : b}}]",
            "webhooks: " + "[" * 2_000,
            "webhooks: [{name: 2001-01-01, dag_id: !!binary aGk=, mapping: !!set {a}}]",
            "? " * 1_000,
        ]
    ),
    st.text(alphabet="webhooks: []{}&*!|>-?'\"\n\t#%@`a1", max_size=60),
)
REST_BODIES = st.one_of(
    st.builds(json.dumps, DEFINITIONS),
    st.builds(lambda it: json.dumps({"last": 50, "draft": it}), DEFINITIONS),
    st.builds("[{}]".format, st.text(max_size=20)),
    st.builds(lambda depth: '{"name":' + "[" * depth, st.sampled_from([1, 50, 5_000])),
)
