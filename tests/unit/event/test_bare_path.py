"""A path whose braces were forgotten is recognised; any other text stays a text."""

from __future__ import annotations

import pytest

from inbound_webhooks.event.expressions.bare_path import MAX_CHARS, expression_meant
from inbound_webhooks.event.expressions.engine import compile_expression


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("body.customer.name", "${Webhook::Body.customer.name}"),
        ("Body.items[0].id", "${Webhook::Body.items[0].id}"),
        ("  query.user ", "${Webhook::Query.user}"),
        ('headers["X-GitHub-Event"]', '${Webhook::Headers["X-GitHub-Event"]}'),
        ("headers['X-GitHub-Event']", "${Webhook::Headers['X-GitHub-Event']}"),
        ("Webhook::Headers.X-GitHub-Event", "${Webhook::Headers.X-GitHub-Event}"),
        ("{body.id}", "${Webhook::Body.id}"),
        ("delivery.id", "${Webhook::Delivery.id}"),
        ("body.name | upper", "{{ body.name | upper }}"),
        ('query.page | default("1") | int', '{{ query.page | default("1") | int }}'),
    ],
)
def test_a_path_without_braces_is_recognised(text, meant):
    assert expression_meant(text) == meant
    compile_expression(meant)


@pytest.mark.parametrize(
    "text",
    [
        "", "body", "the body.id", "body.id and more", "somebody.else", "body.", "body..id", "bodies.id",
        "${Webhook::Body.id}", "{{ body.id }}", "id: ${Webhook::Body.id}", "body.straße", "body.id\nbody.id",
        "body" + ".a" * MAX_CHARS,
    ],
)  # fmt: skip
def test_any_other_text_stays_a_text(text):
    assert expression_meant(text) is None
