"""Any template with any request: it is refused when it is saved, gives a value, or refuses the event."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from inbound_webhooks.errors import ContentRefused, DefinitionError, TemplateRefused
from inbound_webhooks.event.conf.mapping import compile_mapping
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from inbound_webhooks.event.judge import Outcome, decide
from inbound_webhooks.event.response import CONTENT_TYPES
from inbound_webhooks.event.rules import compile_rules
from inbound_webhooks.records.webhook import Draft
from tests.infrastructure.template_strategies import Sent, expressions, junk, requests, templates
from tests.unit.event.builders import parameter, request, sources_of

PARAMS = {
    "text": parameter("text", {"type": "string", "default": ""}),
    "number": parameter("number", {"type": ["number", "null"], "default": 1}),
    "any": parameter("any", {"default": None}),
}


def received(sent: Sent):
    headers = (("X-A", sent.header),)
    return request(sent.body, sent.content_type, query=sent.query, headers=headers)


@given(template=templates | junk, sent=requests, parameter_name=st.sampled_from(sorted(PARAMS)))
def test_a_parameter_gets_a_value_or_the_event_is_refused(template, sent, parameter_name):
    try:
        mapping = compile_mapping({parameter_name: template})
    except DefinitionError:
        return
    try:
        written = mapping.conf_text(sources_of(received(sent)), PARAMS)
    except ContentRefused:
        return
    assert json.loads(written).keys() <= {parameter_name}


@given(expression=expressions, sent=requests)
def test_a_filter_is_true_or_false_or_the_event_is_refused(expression, sent):
    try:
        condition = compile_condition(expression)
    except TemplateRefused:
        return
    try:
        value = condition(sources_of(received(sent)))
    except ContentRefused:
        return
    assert value in (True, False)


@given(
    template=templates,
    key=templates,
    kind=templates,
    sent=requests,
    content_type=st.sampled_from(CONTENT_TYPES),
)
def test_a_webhook_of_any_templates_judges_any_request(template, key, kind, sent, content_type):
    """Never an error of ours: that would be a 503, which the sender repeats."""
    try:
        draft = Draft(
            name="any",
            dag_id="any",
            mapping={"any": template},
            dedup=key,
            event_type=kind,
            response_content_type=content_type,
            response_template=template,
        )
        rules = compile_rules(draft)
    except DefinitionError:
        return
    made = received(sent)
    verdict = decide(rules, made, made.body, PARAMS, delivery_id="0190", secrets={})
    assert verdict.outcome in (Outcome.ACCEPTED, Outcome.REFUSED)
    assert verdict.response.status < 500


@given(template=templates, sent=requests)
def test_a_template_gives_the_same_value_each_time(template, sent):
    """Constant parts are computed once and shared by all requests: none of them changes."""
    try:
        compiled = compile_expression(template)
    except DefinitionError:
        return
    outcomes = []
    for _ in range(2):
        try:
            outcomes.append(repr(compiled.evaluate(sources_of(received(sent)))))
        except ContentRefused as error:
            outcomes.append(error.message)
    # A whole source has no text of its own.
    assert outcomes[0] == outcomes[1] or " object at 0x" in outcomes[0]
