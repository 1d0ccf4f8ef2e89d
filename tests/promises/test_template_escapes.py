"""Known ways out of template sandboxes, in every place of a webhook that takes a template."""

from __future__ import annotations

import json

import pytest

from inbound_webhooks.errors import DefinitionError
from tests.infrastructure.dags_builder import store_dag
from tests.infrastructure.webhooks_builder import rows, store_webhook

ESCAPES = [
    # attributes, by every way that leads to one
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''.__class__.__base__ }}",
    "{{ body.__class__.__init__.__globals__['os'] }}",
    "{{ body['__class__']['__mro__'][1]['__subclasses__'] }}",
    "{{ body|attr('__class__') }}",
    "{{ ()|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ [body]|map(attribute='__class__')|list }}",
    "{{ [body]|groupby('__class__') }}",
    "{{ [body]|selectattr('__class__')|list }}",
    "{{ [body]|sum(attribute='__class__') }}",
    "{{ body|sort(attribute='__class__') }}",
    "{{ body._form_fields.__func__.__globals__ }}",
    "{{ delivery.__init__.__globals__ }}",
    "{{ headers.lists.__class__ }}",
    "{{ body.missing.__class__.__init__.__globals__ }}",
    "{{ (1).__class__ }}{{ none.__class__ }}{{ true.__class__ }}",
    "{{ ''.join.__self__ }}",
    "{{ [].append(1) }}",
    "{{ {}.update({1: 2}) }}",
    "{{ body.gi_frame.f_globals }}",
    "{{ body.cr_frame.f_back }}",
    "${Webhook::Body.__class__.__init__.__globals__}",
    '${Webhook::Body["__class__"]["__mro__"]}',
    "${Webhook::Delivery.__class__}",
    # format strings
    "{{ '{0.__class__.__init__.__globals__}'.format(body) }}",
    "{{ '{0.__class__}'|format(body) }}",
    "{{ '%s'|format(body) }}",
    "{{ '%(x)s' % body }}",
    "{{ '{x}'.format_map(body) }}",
    # what Jinja and frameworks put into every template
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ lipsum() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ cycler('a', 'b').next() }}",
    "{{ joiner.__init__ }}",
    "{{ namespace(a=1).a }}",
    "{{ dict(a=1) }}",
    "{{ self._TemplateReference__context }}",
    "{{ self.__init__.__globals__ }}",
    "{{ caller() }}{{ varargs }}{{ kwargs }}",
    "{{ config.items() }}",
    "{{ request.application.__globals__ }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ g.pop.__globals__ }}",
    "{{ environ }}{{ context }}{{ eval_ctx }}{{ _ }}{{ gettext }}",
    "{{ conn.airflow_db.password }}{{ var.value.secret }}{{ macros }}",
    "{{ body|default(lipsum) }}",
    "{{ body[cycler] }}",
    # loops, ranges, recursion, powers, repeats
    "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
    "{% for i in range(10000000000) %}a{% endfor %}",
    "{{ range(10000000000)|list }}",
    "{% for i in body recursive %}{{ loop(i) }}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% set a = 'a' %}{% set a = a ~ a %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{{ 'a' * 10000000000 }}",
    "{{ [0] * 10000000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 1 << 10000000000 }}",
    "{{ 'a'|center(10000000000) }}",
    "{{ 'a'|indent(10000000000) }}",
    "{{ 'a'.ljust(10000000000) }}",
    "{{ '%10000000000d' % 1 }}",
    # files and other templates
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import popen %}",
    "{% extends '/etc/passwd' %}",
    "{% debug %}",
    "{% autoescape false %}{% endautoescape %}",
    "{% filter upper %}a{% endfilter %}",
    "{% call lipsum() %}{% endcall %}",
    "{% do body.clear() %}",
    # Python
    "{{ __import__('os') }}",
    "{{ (lambda: 1)() }}",
    "{{ [x for x in body] }}",
    "{{ open('/etc/passwd') }}",
    "{{ eval('1') }}",
    "{{ body is callable }}{{ body is filter }}",
]

PLACES = {
    "mapping": lambda template: {"mapping": {"value": template}},
    "answer": lambda template: {"response_content_type": "text/plain", "response_template": template},
    "filter": lambda template: {"filter": template},
    "dedup": lambda template: {"dedup": template},
    "event type": lambda template: {"event_type": template},
}

LEAKS = ("<class", "<function", "<built-in", "<module", "object at 0x", "root:", "uid=", "environ", "0.1.0")


@pytest.fixture
def dag(sqlite_database):
    store_dag("orders")


@pytest.mark.parametrize("place", PLACES)
def test_no_known_escape_is_taken_or_finds_anything(dag, asgi, place):
    """Refused when it is saved; what is only a path finds nothing in the request, as any other would."""
    taken = []
    for number, template in enumerate(ESCAPES):
        try:
            hook = store_webhook(f"{place} {number}", **PLACES[place](template))
        except DefinitionError:
            continue
        reply = asgi.post(hook.path, b'{"x": 1}')
        taken.append(template)
        assert reply.status in (200, 202), template
        assert not any(leak in reply.body.decode() for leak in LEAKS), template
    found = [json.loads(row.conf or "{}").get("value") for row in rows("delivery")]
    assert not any(found), found
    assert not [row.event_type for row in rows("delivery") if row.event_type]
    # These are paths to fields of a request that no sender sends; all else does not even compile.
    assert all(not any(sign in template for sign in ("()", "%", "|", "*")) for template in taken), taken
