"""JSON Schemas of a DAG's param, and values for them that are long where it counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class SchemaInput:
    """The schema of the param ``it``, and the JSON text of the request's value for it."""

    schema: dict[str, Any]
    value: Repeated

    def body(self) -> bytes:
        """The request's body."""
        return b'{"it": ' + self.value.json().encode() + b"}"


@dataclass(frozen=True)
class Repeated:
    """A value of many equal parts; a ``repr`` of the value itself would be megabytes."""

    part: Any
    times: int
    end: str = ""

    def json(self) -> str:
        """A text where the part is one, else a list."""
        if isinstance(self.part, str):
            return json.dumps(self.part * self.times + self.end)
        return "[" + ",".join([json.dumps(self.part)] * self.times) + "]"


PATTERNS = st.one_of(
    st.sampled_from(
        [
            r"^(\w+\s?)*$",
            r"^(a+)+$",
            r"(a|aa)+$",
            r"^(.*)*x$",
            r"^(?=a)a*$",
            r"^(a)\1*$",
            r"\d{1,1000}{1,1000}",
            "[",
            "(?P<a>x)(?P=a)",
            r"^\p{L}+$",
            "(?i)a{2,}",
            "^[^@]+@[^@]+$",
        ]
    ),
    st.from_regex(r"\^?(\((a\|b|[ab]\+|\\w\*)\)[*+?]?){1,3}\$?", fullmatch=True),
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])
FORMATS = st.sampled_from(["date", "date-time", "email", "ipv4", "regex", "uri", "uuid", "time", "unknown"])
NUMBERS = st.sampled_from([0, 1, 3, 0.1, 1e-300, 10**30, -1, True])
SIMPLE = st.one_of(
    st.builds(lambda it: {"type": it}, TYPES | st.lists(TYPES, max_size=3)),
    st.builds(lambda it: {"type": "string", "pattern": it}, PATTERNS),
    st.builds(lambda it: {"type": "string", "format": it}, FORMATS),
    st.builds(lambda name, it: {name: it}, st.sampled_from(["minimum", "multipleOf", "maxLength"]), NUMBERS),
    st.builds(lambda it: {"enum": it}, st.lists(st.sampled_from(["a", 1, 1.0, None, [1], {}]), max_size=3)),
    st.sampled_from(
        [{"uniqueItems": True}, {"$ref": "#"}, {"$ref": "#/missing"}, {"$ref": "https://a.test/b"}]
    ),
    st.just({}),
)


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda it: {"type": "array", "items": it}, inner),
        st.builds(lambda one, other: one | other, inner, inner),
        st.builds(
            lambda name, its: {name: its},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, max_size=3),
        ),
        st.builds(lambda it: {"properties": {"a": it}, "additionalProperties": False}, inner),
        st.builds(lambda name, it: {"patternProperties": {name: it}}, PATTERNS, inner),
        st.builds(lambda it: {"contains": it}, inner),
        st.builds(lambda it: {"not": it}, inner),
    )


SCHEMAS = st.builds(
    SchemaInput,
    schema=st.recursive(SIMPLE, _larger, max_leaves=5),
    value=st.one_of(
        st.builds(
            Repeated,
            st.sampled_from(["a", "ab ", "1", "ä"]),
            st.sampled_from([0, 1, 27, 60, 100_000]),
            st.sampled_from(["", "!", "\n"]),
        ),
        st.builds(
            Repeated,
            st.sampled_from([1, 0.1, None, {"a": 1}, [1], {}, 10**30, ["a" * 26 + "!"]]),
            st.sampled_from([0, 1, 300, 20_000, 500_000]),
        ),
    ),
)
