"""What a sender is answered, by template and content type."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from inbound_webhooks.errors import BodyMalformed, ExpressionFailed, InvalidDefinition, TemplateRefused
from inbound_webhooks.event.response import (
    MAX_RESPONSE_CHARS,
    SAFETY_HEADERS,
    Response,
    compile_response,
    json_response,
)
from tests.unit.event.builders import JSON, sources

TEMPLATE = """{
"validationToken": ${Webhook::Query.validationToken},
"authorization": ${Webhook::Headers.Authorization},
"amount": ${Webhook::Body.Amount},
"customer": ${Webhook::Body.Customer}
}"""


def reference_event():
    return sources(
        b'{"OrderId": 145, "Amount": 5, "Customer": {"Id": 148, "Name": "John Smith"}}',
        query="validationToken=4B54AF5D1CCD8A81632CDE01739",
        headers=(("Authorization", "auth 30f9653d1d15460a9cc58d082b7981bf"),),
    )


def render(content_type, template, body=None, **kwargs):
    return compile_response(content_type, template).render(sources(body or {}, **kwargs))


def rendered_json(template, body=None, **kwargs):
    response = compile_response(JSON, template).rendered(200, sources(body or {}, **kwargs))
    assert response is not None
    return json.loads(response.body)


# --- the reference product's worked example -------------------------------------------------


def test_the_worked_example_as_json():
    response = compile_response("application/json", TEMPLATE).rendered(200, reference_event())
    assert json.loads(response.body) == {
        "validationToken": "4B54AF5D1CCD8A81632CDE01739",
        "authorization": "auth 30f9653d1d15460a9cc58d082b7981bf",
        "amount": 5,
        "customer": {"Id": 148, "Name": "John Smith"},
    }


def test_the_worked_example_as_plain_text():
    response = compile_response("text/plain", TEMPLATE).rendered(200, reference_event())
    assert response.body.decode().split("\n") == [
        "{",
        '"validationToken": 4B54AF5D1CCD8A81632CDE01739,',
        '"authorization": auth 30f9653d1d15460a9cc58d082b7981bf,',
        '"amount": 5,',
        '"customer": ',
        "}",
    ]


# --- JSON -----------------------------------------------------------------------------------

VALUES = {
    "text": 'a"b\\c\n</script>',
    "number": 1.5,
    "true": True,
    "null": None,
    "object": {"a": [1]},
    "list": ["x"],
}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_an_expression_between_strings_becomes_its_json(name):
    assert rendered_json(f'{{"v": ${{Webhook::Body.{name}}}}}', VALUES) == {"v": VALUES[name]}


def test_nothing_becomes_null():
    assert rendered_json('{"v": ${Webhook::Body.missing}, "w": {{ query.x }}}') == {"v": None, "w": None}


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("text", 'a"b\\c\n</script>'),
        ("number", "1.5"),
        ("true", "true"),
        ("null", ""),
        ("missing", ""),
        ("object", '{"a":[1]}'),
    ],
)
def test_an_expression_inside_a_string_goes_in_escaped_without_quotes(name, inside):
    assert rendered_json(f'{{"v": "<${{Webhook::Body.{name}}}>"}}', VALUES) == {"v": f"<{inside}>"}


@pytest.mark.parametrize(
    ("template", "document"),
    [
        ("${Webhook::Body.list}", ["x"]),
        ('["{{ body.list[0] }}", {{ body.list[0] }}]', ["x", "x"]),
        ('{"{{ body.list[0] }}": 1}', {"x": 1}),
        ("{{{ body.list[0] }}: 1}", None),
        ('{"a": "\\"{{ body.list[0] }}\\""}', {"a": '"x"'}),
        ('{"a": "\\\\{{ body.list[0] }}"}', {"a": "\\x"}),
        ('{"a": {{ body.object | tojson }}}', {"a": {"a": [1]}}),
        ('{"a": "{{ body.object | tojson }}"}', {"a": '{"a":[1]}'}),
        ('{"a": {{ body.missing | default("d") }}}', {"a": "d"}),
        ('{"a": {{ [body.number, body.missing] }}}', {"a": [1.5, None]}),
        ('{"a": {{ {"q": query} }}}', {"a": {"q": {}}}),
        ('{% if body.true %}{"a": 1}{% else %}{"a": 2}{% endif %}', {"a": 1}),
        ('{"a": "{% if body.null %}x{% else %}{{ body.number }}{% endif %}"}', {"a": "1.5"}),
        ('{"a": {% if body.null %}1{% elif body.true %}{{ body.list }}{% else %}3{% endif %}}', {"a": ["x"]}),
        ('{"a": 1{% if body.true %}, "b": "{{ body.list[0] }}"{% endif %}}', {"a": 1, "b": "x"}),
        ('{{ "a" }}', "a"),
        ('{"a": "$${x}"}', {"a": "${x}"}),
        ('{# note "#}{"a": 1}', {"a": 1}),
        (' {"a":\n 1}\n', {"a": 1}),
    ],
)
def test_a_json_template_makes_a_document(template, document):
    if document is None:
        with pytest.raises(TemplateRefused):
            compile_response(JSON, template)
    else:
        assert rendered_json(template, VALUES) == document


@pytest.mark.parametrize(
    "template",
    [
        "",
        "  ",
        "hello",
        '{"a": }',
        '{"a": ${Webhook::Body.a}',
        '{"a": "${Webhook::Body.a}}',
        '{"a": ${Webhook::Body.a},}',
        '{"a": ${Webhook::Body.a}${Webhook::Body.b}}',
        '{"a": x${Webhook::Body.a}}',
        '{"a": "x"${Webhook::Body.a}}',
        '{"a": "\\${Webhook::Body.a}"}',
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1{% if body.a %},{% endif %}}',
        '{% if body.a %}{"a": 1}{% endif %}',
        '{% if body.a %}{"a": 1}{% else %}oops{% endif %}',
        '{"a": 1}{{ body.a }}',
        '{"a": "line\nbreak"}',
        "[" * 100_000,
    ],
    ids=lambda template: template[:40],
)
def test_a_template_that_could_not_be_json_is_refused(template):
    with pytest.raises(TemplateRefused):
        compile_response(JSON, template)


def test_a_template_that_could_not_be_json_says_why():
    with pytest.raises(TemplateRefused, match="could not be JSON: Expecting"):
        compile_response(JSON, '{"a": }')


@pytest.mark.parametrize(
    ("template", "line", "column"),
    [
        ('{"a":\n {% if body.a %}"{% else %}1{% endif %}x"}', 2, 5),
        ('{"a":\n  {{ nope }}}', 2, 6),
    ],
)
def test_a_json_template_is_refused_with_line_and_column(template, line, column):
    with pytest.raises(TemplateRefused) as caught:
        compile_response(JSON, template)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_result_that_is_not_json_after_all_is_no_answer():
    template = compile_response(JSON, "{ {{ body.key }}: 1}")
    assert template.rendered(200, sources({"key": "a"})) is not None
    assert template.rendered(200, sources({"key": 5})) is None


def test_a_value_cannot_break_out_of_its_string():
    hostile = '", "admin": true, "x": "'
    assert rendered_json('{"v": "${Webhook::Body.v}", "w": ${Webhook::Body.v}}', {"v": hostile}) == {
        "v": hostile,
        "w": hostile,
    }


def test_half_a_surrogate_pair_does_not_break_the_answer():
    response = compile_response(JSON, '["${Webhook::Body.v}"]').rendered(200, sources(b'{"v": "\\ud800"}'))
    assert json.loads(response.body) == ["?"]


# --- text and XML ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("text", VALUES["text"]),
        ("number", "1.5"),
        ("true", "true"),
        ("null", ""),
        ("object", ""),
        ("list", ""),
    ],
)
def test_plain_text_shows_primitives_bare_and_drops_the_rest(name, written):
    assert render("text/plain", f"<${{Webhook::Body.{name}}}>", VALUES) == f"<{written}>"


def test_plain_text_shows_the_body_as_received():
    template = compile_response("text/plain", "${Webhook::Body}|${Webhook::Query}")
    assert template.render(sources(b' {"a": 1}', query="a=1")) == ' {"a": 1}|'


def test_a_handshake_is_echoed_bare():
    shown = render("text/plain", "${Webhook::Query.hub.challenge}", query="hub.challenge=1158201444")
    assert shown == "1158201444"


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml"])
def test_xml_is_escaped(content_type):
    hostile = "</Message><Play>x</Play> & \"q\" 'a' \x00"
    made = render(content_type, "<R m='${Webhook::Body.v}'>${Webhook::Body.v}</R>", {"v": hostile})
    root = ElementTree.fromstring(made)
    assert root.text == root.get("m") == hostile.replace("\x00", "\ufffd")
    assert list(root) == []


# --- the answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "header"),
    [
        ("application/json", "application/json"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("application/xml", "application/xml; charset=utf-8"),
        ("text/xml", "text/xml; charset=utf-8"),
    ],
)
def test_an_answer_has_status_bytes_type_and_safety_headers(content_type, header):
    response = compile_response(content_type, '"ü"').rendered(201, sources())
    assert (response.status, response.body) == (201, '"ü"'.encode())
    assert response.all_headers == (
        ("Content-Type", header),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
        ("Cache-Control", "no-store"),
    )


def test_an_answer_of_our_own_has_the_same_headers():
    response = json_response(404, {"status": "rejected"}, (("Allow", "POST"),))
    assert response == Response(404, b'{"status": "rejected"}', headers=(("Allow", "POST"),))
    assert response.all_headers == (("Content-Type", "application/json"), *SAFETY_HEADERS, ("Allow", "POST"))


@pytest.mark.parametrize("content_type", ["text/html", "", "application/json; charset=utf-8", "text/PLAIN"])
def test_other_content_types_are_refused_by_name(content_type):
    with pytest.raises(InvalidDefinition, match="response content type"):
        compile_response(content_type, "x")


def test_a_result_that_is_too_long_is_no_answer():
    template = compile_response("text/plain", "${Webhook::Body.v}")
    assert template.rendered(200, sources({"v": "a" * MAX_RESPONSE_CHARS})) is not None
    assert template.rendered(200, sources({"v": "a" * (MAX_RESPONSE_CHARS + 1)})) is None


def test_a_template_over_a_body_that_is_not_json_says_so():
    with pytest.raises(BodyMalformed):
        compile_response(JSON, '{"id": ${Webhook::Body.id}}').rendered(200, sources(b"{"))


def test_an_expression_that_does_not_fit_the_data_says_so():
    with pytest.raises(ExpressionFailed):
        compile_response("text/plain", "{{ body.a + 1 }}").rendered(200, sources({"a": "x"}))
