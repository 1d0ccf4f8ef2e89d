"""The worst that templates can do: ``python -m tests.unit.event.worst_templates`` prints what each took."""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

from inbound_webhooks.errors import ExpressionFailed, ParameterRefused
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from tests.unit.event.builders import conf_of, sources

BODY_CHARS = 2 * 1024 * 1024 - 100
MEMORY_BYTES = 700 * 1024 * 1024
"""For the interpreter, its libraries and one of these templates."""

LETTERS = {"x": "a" * BODY_CHARS}
NUMBERS = {"x": [1] * (BODY_CHARS // 2)}
LISTS: dict[str, Any] = {"x": [[]] * (BODY_CHARS // 4)}
TWO_LISTS = {"x": [[]] * (BODY_CHARS // 8), "y": [[]] * (BODY_CHARS // 8)}
JSON_TEXT = {"x": "[" + "[]," * (BODY_CHARS // 3 - 2) + "1]"}
GROWN = 'body.x | replace("a", "aaaaaaaa")'


def many(expression: str, times: int) -> str:
    return "{{ [" + ", ".join([f"({expression})"] * times) + "] | length }}"


WORST: dict[str, tuple[str, Any]] = {
    "a text of its largest size, changed again and again": (
        many(f"{GROWN}{'| upper | lower' * 12}", 60),
        LETTERS,
    ),
    "texts of their largest size": (many(GROWN, 300), LETTERS),
    "hashes of the body": (many("body | sha256", 450), LETTERS),
    "hashes of a text of its largest size": (many(f"{GROWN} | sha256", 300), LETTERS),
    "Base64 there and back": (many("body.x | b64encode | b64decode", 200), LETTERS),
    "parts of a text": (many(f'{GROWN} | split("a")', 40), LETTERS),
    "parts of a text as JSON": (f'{{{{ {GROWN} | split("a") | tojson }}}}', LETTERS),
    "parts of parts joined": (many('body.x | split("a") | join("aaa")', 60), LETTERS),
    "texts behind each other": (many("body.x ~ body.x", 200), LETTERS),
    "slices of a text": (many("body.x[1:]", 250), LETTERS),
    "slices of a list": (many("body.x[::-1]", 250), NUMBERS),
    "sums of lists": (many("body.x + body.x", 250), NUMBERS),
    "JSON that is read": (many("body.x | fromjson", 300), JSON_TEXT),
    "JSON that is written": (many("body | tojson", 300), LISTS),
    "copies of a list": ("{{ [" + "body.x, " * 600 + "] }}", NUMBERS),
    "copies of lists in a list": ("{{ [" + "body.x, " * 600 + "] }}", LISTS),
    "lists that are compared": (many("body.x == body.y", 250), TWO_LISTS),
    "lists that a test compares": (many("body.x is eq(body.y)", 300), TWO_LISTS),
    "lists that are searched": (many('"a" in body.x', 300), LISTS),
    "lists that a test searches": (many('"a" is in(body.x)', 300), LISTS),
    "numbers of their largest size": (many("body.x + body.x", 350), {"x": int("9" * 4300)}),
    "a time of a megabyte": (many('body.x | to_datetime("YYYY" ~ body.x)', 100), LETTERS),
    "a text that is searched for itself": (many("body.x in body.x", 300), LETTERS),
}


def take(name: str) -> dict[str, Any]:
    """How long a template took and what came of it."""
    template, body = WORST[name]
    made, expression = sources(body), compile_expression(template)
    return {"name": name} | _timed(lambda: expression.evaluate(made))


def take_mapping() -> dict[str, Any]:
    """A mapping of many lines; each of them alone would do."""
    schema = {"type": "array"}
    mapping = {f"p{number}": "${Webhook::Body.x}" for number in range(500)}
    schemas = dict.fromkeys(mapping, schema)
    return {"name": "texts that become lists"} | _timed(
        lambda: conf_of(mapping, sources(JSON_TEXT), **schemas)
    )


def take_filter() -> dict[str, Any]:
    made: DataSources = sources(TWO_LISTS)
    condition = compile_condition(" or ".join(["body.x != body.x"] * 35))
    return {"name": "a filter"} | _timed(lambda: condition(made))


def _timed(work: Any) -> dict[str, Any]:
    started = time.process_time()
    try:
        work()
        outcome = "done"
    except (ExpressionFailed, ParameterRefused) as error:
        outcome = error.message
    return {"seconds": time.process_time() - started, "outcome": outcome}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    json.dump([*map(take, WORST), take_mapping(), take_filter()], sys.stdout)
