"""The response to a sender, and the templates that render it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice, product

import msgspec
from jinja2 import nodes

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event import json_text
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import CompileBudget, LocatedProblem, charge_parsing, charging
from inbound_webhooks.event.expressions.engine import Parsed, Writer, compile_output, parse
from inbound_webhooks.event.expressions.syntax import SOURCES, Sources
from inbound_webhooks.event.values import to_json_output, to_json_string, to_plain_text, to_xml

CONTENT_TYPES = ("application/json", "text/plain", "application/xml", "text/xml")

MAX_RESPONSE_CHARS = 1024 * 1024
MAX_CHECKED_BRANCHES = 64

SKELETON_CHARS_PER_PART = 512
"""Characters of a possible result that count as much as a token, in the limit on a webhook's expressions."""

SAFETY_HEADERS = (
    # The api-server shares its origin with Airflow's pages: a response that echoes input must stay inert.
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("Cache-Control", "no-store"),
)


class Response(msgspec.Struct, frozen=True):
    """The response that the sender receives."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """All headers except Content-Length."""
        return (("Content-Type", self.content_type), *SAFETY_HEADERS, *self.headers)


@dataclass(frozen=True)
class ResponseTemplate:
    """A compiled response template; ``render`` raises ExpressionFailed or BodyMalformed."""

    content_type: str
    render: Callable[[DataSources], str]
    is_plain: bool = False
    """Whether it is text without expressions."""
    reads_run: bool = False
    """Whether it reads the run or its result, so that it is of no use before the run."""

    def rendered(self, status: int, sources: DataSources) -> Response | None:
        """The rendered response; None if the result is too long or does not match its content type."""
        written = self.render(sources)
        if len(written) > MAX_RESPONSE_CHARS:
            return None
        if self.content_type == "application/json":
            with charging(sources.budget):
                charge_parsing(written)
            if _json_problem(written) is not None:
                return None
        charset = "" if self.content_type == "application/json" else "; charset=utf-8"
        return Response(status, written.encode("utf-8", "replace"), self.content_type + charset)


def json_response(
    status: int, document: dict[str, object], headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """A response with a JSON document."""
    return Response(status, json.dumps(document).encode(), headers=headers)


def compile_response(
    content_type: str, source: str, budget: CompileBudget | None = None, *, sources: Sources = SOURCES
) -> ResponseTemplate:
    """Compile a response template.

    :param budget: what all expressions of the webhook share
    :param sources: what it may read
    :raises InvalidDefinition: the content type is not one of :data:`CONTENT_TYPES`
    :raises TemplateRefused: it does not compile, or its result could not be JSON
    """
    if content_type not in CONTENT_TYPES:
        raise InvalidDefinition(
            "response_content_type", f"{content_type!r} is not one of {', '.join(CONTENT_TYPES)}"
        )
    parsed = parse(source, budget, sources=sources)
    if content_type == "application/json":
        writer = _json_writer(parsed)
    else:
        plain_writer = to_plain_text if content_type == "text/plain" else to_xml
        writer = lambda _: plain_writer  # noqa: E731
    return ResponseTemplate(
        content_type,
        compile_output(parsed, writer),
        is_plain=parsed.is_text,
        reads_run=parsed.reads_run,
    )


def _json_problem(text: str) -> str | None:
    try:
        json_text.parse(text)
    except json_text.JsonRefused as error:
        return error.message
    return None


# --- JSON templates: which expressions are inside a string, and can the result be JSON? -------


def _json_writer(parsed: Parsed) -> Callable[[nodes.Expr], Writer]:
    inside: set[int] = set()
    _mark_strings(parsed, parsed.tree.body, False, inside)
    for skeleton in islice(_skeletons(parsed.tree.body, inside), MAX_CHECKED_BRANCHES):
        try:
            parsed.budget.charge(len(skeleton) // SKELETON_CHARS_PER_PART, 0)
        except LocatedProblem as error:
            raise parsed.refuse(error.reason, error.offset) from None
        if problem := _json_problem(skeleton):
            raise parsed.refuse(f"the result could not be JSON: {problem}", 0)
    return lambda expression: to_json_string if id(expression) in inside else to_json_output


def _mark_strings(parsed: Parsed, body: Iterable[nodes.Node], in_string: bool, inside: set[int]) -> bool:
    """Collect the expressions inside JSON strings; return whether a string is open at the end."""
    for node in body:
        if isinstance(node, nodes.Output):
            for child in node.nodes:
                if isinstance(child, nodes.TemplateData):
                    in_string = _string_open_after(child.data, in_string)
                elif in_string:
                    inside.add(id(child))
        elif isinstance(node, nodes.If):
            ends = {_mark_strings(parsed, branch, in_string, inside) for branch in _branches(node)}
            if len(ends) > 1:
                raise parsed.refuse("the branches of this if open or close a string differently", node.lineno)
            in_string = ends.pop()
    return in_string


def _string_open_after(data: str, in_string: bool) -> bool:
    escaped = False
    for character in data:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = in_string
        elif character == '"':
            in_string = not in_string
    return in_string


def _branches(node: nodes.If) -> list[list[nodes.Node]]:
    return [node.body, *(branch.body for branch in node.elif_), node.else_]


def _skeletons(body: Iterable[nodes.Node], inside: set[int]) -> Iterable[str]:
    """The template's text for each path through its ifs, with an empty string for each expression."""
    alternatives: list[list[str]] = []
    for node in body:
        if isinstance(node, nodes.Output):
            alternatives.append(["".join(_skeleton_part(child, inside) for child in node.nodes)])
        elif isinstance(node, nodes.If):
            paths = (_skeletons(branch, inside) for branch in _branches(node))
            alternatives.append([text for path in paths for text in islice(path, MAX_CHECKED_BRANCHES)])
    return ("".join(path) for path in product(*alternatives))


def _skeleton_part(child: nodes.Expr, inside: set[int]) -> str:
    if isinstance(child, nodes.TemplateData):
        return child.data
    return "" if id(child) in inside else '""'
