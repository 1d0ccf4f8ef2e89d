"""Hypothesis strategies of expressions, templates and requests, built from the grammar that the engine takes.

``templates`` are mostly valid, so that they reach the evaluation; ``junk`` mostly does not even parse.
``requests`` are JSON values and queries whose keys are those that the paths of the templates name.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from inbound_webhooks.event.expressions.filters import FILTERS
from inbound_webhooks.event.expressions.value_tests import TESTS

KEYS = ("a", "b", "items", "note", "__class__", "a.b", "0", "ü")


@dataclass(frozen=True)
class Sent:
    """What a sender sends: a body and its media type, a query string, and a header's value."""

    body: bytes
    content_type: str
    query: str
    header: str


# --- data -----------------------------------------------------------------------------------

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["7", "19.90", "[1]", '{"a": 1}', "2026-03-01", "aGVsbG8=", "a,b,c", "\ud800", "\0"]),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
bodies = st.one_of(
    json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(KEYS), json_values, max_size=5).map(lambda it: json.dumps(it).encode()),
    st.sampled_from([b"", b"{", b"a=1&a=2&b=", b"NaN", b"\xff", b"[[[[]]]]"]),
)
requests = st.builds(
    Sent,
    body=bodies,
    content_type=st.sampled_from(
        ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png"]
    ),
    query=st.sampled_from(["", "a=1", "a=1&a=2", "a.b=3&items=%ff", "__class__=x"]),
    header=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
)


# --- expressions ----------------------------------------------------------------------------

_names = st.sampled_from(KEYS[:5])
_sources = st.sampled_from(["body", "headers", "query", "delivery"])
_literals = st.one_of(
    st.sampled_from(["none", "true", "false", "0", "-1", "2", "1.5", "1e308", "[]", "{}", "''", '"a"']),
    st.integers(-(10**20), 10**20).map(str),
    st.text(alphabet="ab, -:%YHmé", max_size=6).map(lambda text: f'"{text}"'),
)
_steps = st.one_of(
    _names.map(lambda name: f".{name}"),
    st.sampled_from(KEYS).map(lambda key: f"[{json.dumps(key)}]"),
    st.sampled_from(["[0]", "[-1]", "[1:]", "[:2]", "[::-1]", "[body.a]", "[none]", "[::0]"]),
)
_paths = st.tuples(_sources, st.lists(_steps, max_size=3)).map(lambda made: made[0] + "".join(made[1]))
_operators = st.sampled_from(
    ["+", "-", "/", "//", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
)


def _calls(functions: dict[str, Any], arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A name with arguments: mostly as many as it takes, positional or named, sometimes another number."""

    def call(name: str) -> st.SearchStrategy[str]:
        _, *parameters = inspect.signature(functions[name]).parameters
        named = st.lists(st.tuples(st.booleans(), arguments), min_size=0, max_size=len(parameters) + 1).map(
            lambda chosen: _written(name, parameters, chosen)
        )
        return named | st.just(name)

    return st.sampled_from(sorted(functions)).flatmap(call)


def _written(name: str, parameters: list[str], chosen: list[tuple[bool, str]]) -> str:
    written, is_named = [], False
    for position, (wants_name, argument) in enumerate(chosen):
        is_named = is_named or wants_name
        parameter = parameters[position] if position < len(parameters) else "other"
        written.append(f"{parameter}={argument}" if is_named else argument)
    return f"{name}({', '.join(written)})"


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, _calls(FILTERS, inner)).map(lambda made: f"({made[0]} | {made[1]})"),
        st.tuples(inner, st.sampled_from(["is", "is not"]), _calls(TESTS, inner)).map(
            lambda made: f"({made[0]} {made[1]} {made[2]})"
        ),
        st.tuples(inner, _operators, inner).map(lambda made: f"({' '.join(made)})"),
        st.tuples(inner, inner, inner).map(lambda made: f"({made[0]} if {made[1]} else {made[2]})"),
        st.tuples(inner, inner).map(lambda made: f"({made[0]} if {made[1]})"),
        st.lists(inner, max_size=3).map(lambda made: f"[{', '.join(made)}]"),
        st.tuples(inner, inner).map(lambda made: f"{{{made[0]}: {made[1]}}}"),
        st.tuples(st.sampled_from(["-", "+", "not "]), inner).map(lambda made: f"({made[0]}{made[1]})"),
        st.tuples(inner, _steps).map(lambda made: f"({made[0]}){made[1]}"),
    )


expressions = st.recursive(_paths | _literals, _larger, max_leaves=6)
"""Jinja expressions without braces."""

printed = expressions.map(lambda expression: f"{{{{ {expression} }}}}")
_webhook_paths = st.sampled_from(
    ["${Webhook::Body}", "${Webhook::Body.a.b}", "${Webhook::Query.a[0]}", "${Webhook::Headers.X-A}", "$${"]
)
_pieces = st.one_of(printed, _webhook_paths, st.sampled_from(["text ", "\n", '"', "{# a comment #}"]))
templates = st.one_of(
    printed,
    _webhook_paths,
    st.lists(_pieces, max_size=4).map("".join),
    st.tuples(expressions, _pieces, _pieces).map(
        lambda made: f"{{% if {made[0]} %}}{made[1]}{{% else %}}{made[2]}{{% endif %}}"
    ),
)
"""Expressions with and without text around them."""

_FRAGMENTS = r"""
{{ }} {% %} {# #} {%- -%} ${ $${ } Webhook:: ${Webhook::Body ${Webhook::Body.a} .a [0] ["a"] body query
headers self . [ ] ( ) | : , ' " \ () {} \ud800 \0 ü default tojson if elif else endif and or not in is none
range for endfor set raw endraw block filter call with * ** % + - ~ / // == < 1 1e999 0x1f 1_0
"""
junk = st.lists(st.sampled_from([*_FRAGMENTS.split(), " ", "\n", "\r\n", "\0", "\ud800"]), max_size=14).map(
    "".join
)
"""Texts of pieces that the lexer knows, mostly in no order that means anything."""
