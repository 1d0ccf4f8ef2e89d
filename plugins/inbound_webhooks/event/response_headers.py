"""Headers that a webhook adds to its responses: templates, for names that are harmless on any page.

The api-server shares its origin with Airflow's pages, and proxies act on some headers of responses. So names
are on an allow-list, and a value that is no text for a header is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inbound_webhooks.errors import ContentRefused, InvalidDefinition, TemplateRefused
from inbound_webhooks.event.data_sources import DataSources
from inbound_webhooks.event.expressions.budget import CompileBudget
from inbound_webhooks.event.expressions.engine import compile_output, parse
from inbound_webhooks.event.expressions.syntax import Sources
from inbound_webhooks.event.values import to_plain_text

FIELD = "response_headers"

MAX_HEADERS = 20
MAX_NAME_CHARS = 100
MAX_VALUE_CHARS = 1_000

ALLOWED = frozenset(
    {
        *("content-language", "correlation-id", "idempotency-key", "ratelimit-limit", "ratelimit-remaining"),
        *(
            "ratelimit-reset",
            "request-id",
            "retry-after",
            "traceparent",
            "tracestate",
            "webhook-allowed-rate",
        ),
    }
)
"""In lower case; names that begin with ``X-`` are allowed as well, but for those below."""

REFUSED = frozenset(
    {
        *("x-content-security-policy", "x-content-type-options", "x-dns-prefetch-control"),
        *("x-download-options", "x-frame-options", "x-permitted-cross-domain-policies", "x-robots-tag"),
        *("x-sourcemap", "x-ua-compatible", "x-webkit-csp", "x-webkit-csp-report-only", "x-xss-protection"),
        *("x-archive-files", "x-cascade", "x-http-method-override", "x-lighttpd-send-file", "x-original-url"),
        *("x-reproxy-url", "x-rewrite-url", "x-sendfile", "x-sendfile2"),
    }
)
"""Browsers or proxies act on them: policies of a page, a file or URL to send instead."""

REFUSED_PREFIXES = (
    "x-accel-",
    "x-envoy-",
    "x-forwarded-",
    "x-litespeed-",
    "x-original-",
    "x-proxy-",
    "x-real-",
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
# What both servers send as it is: printable ASCII and Latin-1, with spaces inside only (RFC 9110, 5.5).
_VALUE = re.compile(r"[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa1-\xff])?")


@dataclass(frozen=True)
class HeaderTemplate:
    """One header; ``render`` raises ContentRefused."""

    name: str
    render: Callable[[DataSources], str]
    is_plain: bool
    reads_run: bool

    def value(self, sources: DataSources) -> str | None:
        """The value; None where it is empty or cannot stand in a header."""
        try:
            text = self.render(sources).strip()
        except ContentRefused:
            # The event is accepted: a failing template must not make the sender retry it.
            return None
        return text if len(text) <= MAX_VALUE_CHARS and _VALUE.fullmatch(text) else None


def compile_headers(
    templates: Mapping[str, str], budget: CompileBudget, sources: Sources
) -> tuple[HeaderTemplate, ...]:
    """Compile the headers of a webhook's responses.

    :raises InvalidDefinition: a name is not allowed, or a template does not compile
    """
    if len(templates) > MAX_HEADERS:
        raise InvalidDefinition(FIELD, f"there are more than {MAX_HEADERS}")
    seen: set[str] = set()
    compiled = []
    for name, template in templates.items():
        if reason := name_problem(name):
            raise InvalidDefinition(FIELD, reason, name)
        if name.lower() in seen:
            raise InvalidDefinition(FIELD, "the name occurs twice", name)
        seen.add(name.lower())
        compiled.append(_compiled(name, template, budget, sources))
    return tuple(compiled)


def _compiled(name: str, template: str, budget: CompileBudget, sources: Sources) -> HeaderTemplate:
    try:
        parsed = parse(template, budget, sources=sources)
        render = compile_output(parsed, lambda _: to_plain_text)
    except TemplateRefused as error:
        raise InvalidDefinition(FIELD, error.message, name) from None
    if parsed.is_text and not _VALUE.fullmatch(template.strip()):
        reason = "the value is empty, or has a line end or a character that is not Latin-1"
        raise InvalidDefinition(FIELD, reason, name)
    return HeaderTemplate(name, render, is_plain=parsed.is_text, reads_run=parsed.reads_run)


def name_problem(name: str) -> str | None:
    """Why a response may not have a header of this name; None if it may."""
    lower = name.lower()
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        return "a name has letters, digits and hyphens only"
    if lower in ALLOWED:
        return None
    if lower.startswith("x-") and lower not in REFUSED and not lower.startswith(REFUSED_PREFIXES):
        return None
    return f"this name is not allowed; allowed are X-… and {', '.join(sorted(ALLOWED))}"
