"""Samples: what expressions read, values that params accept, and signatures that verify."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import datetime, timezone
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound_webhooks.errors import SampleNotSigned
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.expressions.engine import compile_condition
from inbound_webhooks.event.sampling.builder import build_sample
from inbound_webhooks.event.sampling.evaluation import SignedSample
from inbound_webhooks.event.sampling.events import FORM_TYPE, SampleEvent, SampleRequest
from inbound_webhooks.event.sampling.examples import MAX_TEXT_CHARS, made_up, matching
from inbound_webhooks.event.sampling.shell import curl_of
from inbound_webhooks.event.sampling.signing import recipe_of
from inbound_webhooks.event.verification.registry import read_scheme, verify
from inbound_webhooks.event.verification.scheme import SignedRequest
from inbound_webhooks.presets import PRESETS
from tests.unit.event.builders import sources

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc)
URL = "https://hooks.example.com/webhook/abc/def"


def definition(**fields: Any) -> Any:
    empty = dict.fromkeys(("response_template", "event_type", "filter", "dedup", "each"))
    return SimpleNamespace(**{"mapping": {}, **empty, **fields})


def sample(
    params: dict[str, dict[str, Any]] | None = None, event: SampleEvent | None = None, **fields: Any
) -> Any:
    offers_names = fields.pop("offers_names", False)
    parameters = {name: Parameter(name, schema) for name, schema in (params or {}).items()}
    return build_sample(definition(**fields), parameters, event, fresh="fresh-1", offers_names=offers_names)


def body(*args: Any, **fields: Any) -> Any:
    return json.loads(sample(*args, **fields).body)


def test_paths_in_both_notations_get_values() -> None:
    made = sample(
        mapping={
            "a": "${Webhook::Body.order.id}",
            "b": "{{ body.items[1].name }}",
            "c": '${Webhook::Body["odd key"]}',
        }
    )
    assert json.loads(made.body) == {
        "order": {"id": "example id"},
        "items": [None, {"name": "example name"}],
        "odd key": "example odd key",
    }


@pytest.mark.parametrize(("offers_names", "expected"), [(True, {"b", "c", "order"}), (False, {"order"})])
def test_a_form_is_offered_the_params_that_have_no_expression_yet(
    offers_names: bool, expected: set[str]
) -> None:
    params = {name: {"type": "string"} for name in ("a", "b", "c")}
    mapping = {"a": "${Webhook::Body.order}", "b": "a text"}
    assert set(body(params, mapping=mapping, offers_names=offers_names)) == expected


def test_headers_and_query_are_filled_too() -> None:
    made = sample(
        mapping={"a": "${Webhook::Headers.X-Shop}", "b": "{{ query.user | default('x') }}"},
        dedup="${Webhook::Headers.X-Id}",
    )
    assert dict(made.headers) == {
        "Content-Type": "application/json",
        "X-Shop": "example X-Shop",
        "X-Id": "fresh-1",
    }
    assert made.query_string == "user=example+user"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 10},
        {"type": "integer", "exclusiveMinimum": 10, "multipleOf": 5},
        {"type": "number", "maximum": -2.5},
        {"type": "string", "enum": ["small", "large"]},
        {"type": "string", "examples": ["EUR"], "minLength": 3, "maxLength": 3},
        {"type": "string", "pattern": "^[A-Z]{2}-\\d{4,}(a|b)?$"},
        {"type": "string", "pattern": "^[^/]+/[^/]+$"},
        {"type": "string", "format": "date-time"},
        {"type": "string", "minLength": 40},
        {"type": ["null", "boolean"]},
        {
            "type": "array",
            "minItems": 2,
            "items": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        },
        {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]},
        {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"const": 7}}}]},
        {"$ref": "#/$defs/size", "$defs": {"size": {"enum": [4]}}},
    ],
    ids=str,
)
def test_a_path_gets_a_value_that_its_param_accepts(schema: dict[str, Any]) -> None:
    value = body({"p": schema}, mapping={"p": "${Webhook::Body.p}"})["p"]
    assert Parameter("p", schema).refusal(value) is None


def test_a_recursive_schema_has_a_bounded_example() -> None:
    node = {
        "type": "object",
        "properties": {name: {"$ref": "#"} for name in "abcdefgh"},
        "required": list("abcdefgh"),
    }
    assert len(json.dumps(made_up(node, "p"))) < 50_000


@pytest.mark.filterwarnings("ignore::FutureWarning")
@given(pattern=st.text("ab[]()|*+?{}19,-^$\\dw.", max_size=12))
def test_made_up_texts_are_short_whatever_the_pattern(pattern: str) -> None:
    assert len(matching(pattern)) <= MAX_TEXT_CHARS


@pytest.mark.parametrize("pattern", ["(((a{99}){99}){99}){99}", "(a{500}b{500}){500}", "^a{2000}$"])
def test_a_pattern_that_repeats_itself_takes_no_memory(pattern: str) -> None:
    assert len(matching(pattern)) <= MAX_TEXT_CHARS


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('body.ref == "main" and not body.deleted', {"ref": "main"}),
        ("body.livemode", {"livemode": True}),
        ('body.kind in ["a", "b"]', {"kind": "a"}),
        ("body.amount | float > 5", {"amount": 6}),
        ('"x" == body.name', {"name": "x"}),
        ('"main" in body.branches', {"branches": ["main"]}),
        ("body.a == 1 or body.b == 2", {"a": 1}),
        ("{{ body.count >= 3 }}", {"count": 3}),
    ],
)
def test_a_filter_is_true_for_its_sample(condition: str, expected: dict[str, Any]) -> None:
    made = sample(filter=condition, mapping={"x": "constant"})
    assert json.loads(made.body) == expected
    assert compile_condition(condition)(sources(made.body.encode()))


def test_a_filter_on_the_event_type_sets_what_the_type_is_read_from() -> None:
    made = sample(
        filter='delivery.event_type == "push"', event_type="${Webhook::Headers.X-Event}", mapping={"a": "b"}
    )
    assert dict(made.headers)["X-Event"] == "push"


def test_texts_inside_of_texts_are_encoded() -> None:
    made = body(mapping={"a": "{{ (body.payload | fromjson).ref }}", "b": "{{ body.data | b64decode }}"})
    assert json.loads(made["payload"]) == {"ref": "example ref"}
    assert made["data"] == "ZXhhbXBsZSBkYXRh"


def test_the_event_of_the_sender_keeps_what_will_do() -> None:
    event = SampleEvent(body={"id": 7, "size": "huge", "type": "a"})
    made = body(
        {"size": {"enum": ["small"]}, "id": {"type": "integer"}},
        event,
        mapping={"size": "${Webhook::Body.size}", "id": "${Webhook::Body.id}"},
    )
    assert made == {"id": 7, "size": "small", "type": "a"}


def test_a_form_stays_a_form() -> None:
    event = SampleEvent(body={"text": "hi"}, content_type=FORM_TYPE)
    assert sample(None, event, mapping={"a": "${Webhook::Body.user}"}).body == "text=hi&user=example+user"


# --- signatures -----------------------------------------------------------------------------

# fmt: off
SYMMETRIC = [
    {"kind": "basic", "username": "ada"},
    {"kind": "body-key", "items": "value", "field": "state"},
    {"kind": "digest", "header": "X-Digest", "signed": "{method}{url}{body}"},
    {"kind": "header-key", "header": "Authorization", "prefix": "Bearer "},
    {"kind": "hmac", "header": "X-Sig", "algorithm": "sha512", "encoding": "base64"},
    {"kind": "hmac", "header": "X-Sig", "layout": "list", "prefix": "v1="},
    {
        "kind": "hmac",
        "header": "X-Sig",
        "layout": "pairs",
        "prefix": "v1",
        "timestamp_from": "t",
        "signed": "{timestamp}.{body}",
    },
    {
        "kind": "hmac",
        "header": "X-Sig",
        "signed": "{id}.{timestamp}.{url}.{body}",
        "timestamp_from": "X-Time",
        "timestamp_milliseconds": True,
        "id_from": "X-Id",
    },
    {"kind": "hmac", "header": "X-Sig", "body_timestamp": "at"},
    {
        "kind": "jwt",
        "algorithms": ["HS256"],
        "issuer": "me",
        "audience": "you",
        "email": "a@example.com",
        "body_hash_claim": "hash",
    },
    {"kind": "mailgun"},
    {"kind": "query-hmac"},
    {"kind": "query-key", "field": "code"},
    {"kind": "standard-webhooks"},
    {"kind": "twilio"},
]
SECRETS = {
    "standard-webhooks": "whsec_YSBzZWNyZXQgb2YgMjQgYnl0ZXMgb3Igc28=",
    "header-key": "key-of-ascii",
    "jwt": "a shared secret that is long enough for HS256",
}
BODY = '{"value": [{"id": 1, "text": "it\'s \\"quoted\\" $HOME `date` \\\\ % ü"}]}'


def signed(scheme: dict[str, Any], secret: str, *, query: str = "b=2&a=1") -> SignedSample:
    recipe = recipe_of(
        SampleRequest(BODY, (("Content-Type", "application/json"),), query), URL, [read_scheme(scheme)]
    )
    return SignedSample(recipe, {"signing": secret}, NOW)


def check(scheme: dict[str, Any], made: Any, secret: str, now: datetime = NOW) -> dict[str, int]:
    url = f"{URL}?{made.query_string}"
    request = SignedRequest(
        method="POST", url=url, query_string=made.query_string, headers=made.headers, body=made.body
    )
    return verify([read_scheme(scheme)], request, {"signing": [secret]}, now)


@pytest.mark.parametrize("scheme", SYMMETRIC, ids=lambda scheme: scheme["kind"])
def test_python_signs_what_the_scheme_accepts(scheme: dict[str, Any]) -> None:
    secret = SECRETS.get(scheme["kind"], 'a "secret" \\ of $ümlauts')
    assert check(scheme, signed(scheme, secret), secret) == {"signing": 0}


@pytest.mark.parametrize("scheme", SYMMETRIC, ids=lambda scheme: scheme["kind"])
def test_a_shell_signs_what_the_scheme_accepts(scheme: dict[str, Any]) -> None:
    secret = SECRETS.get(scheme["kind"], 'a "secret" \\ of $ümlauts')
    recipe = recipe_of(
        SampleRequest(BODY, (("Content-Type", "application/json"),), "b=2&a=1"), URL, [read_scheme(scheme)]
    )
    commands = curl_of(recipe)
    assert secret not in commands
    # Instead of curl, a function that prints each argument between two characters that occur nowhere.
    shell = "curl() { for one; do printf '\\001%s\\002' \"$one\"; done; }\n" + commands
    done = subprocess.run(
        ["sh", "-c", shell],
        env={"PATH": "/usr/bin:/bin", "WEBHOOK_SECRET": secret},
        capture_output=True,
        check=True,
    )
    made = _sent(re.findall("\x01(.*?)\x02", done.stdout.decode(), re.DOTALL))
    assert check(scheme, made, secret, datetime.now(timezone.utc)) == {"signing": 0}


def _sent(arguments: list[str]) -> Any:
    headers = tuple(
        tuple(one.split(": ", 1)) for flag, one in pairwise(arguments) if flag == "-H"
    )
    url = arguments[2]
    return SimpleNamespace(headers=headers, query_string=url.partition("?")[2], body=arguments[-1].encode())


@pytest.mark.parametrize("name", ["discord", "sendgrid", "aws-sns", "google-pubsub"])
def test_what_only_the_sender_can_sign_is_not_signed(name: str) -> None:
    preset = PRESETS[name]
    made = build_sample(definition(), {}, preset.sample, fresh="1")
    recipe = recipe_of(made, URL, [read_scheme(settings) for settings in preset.verification])
    with pytest.raises(SampleNotSigned):
        SignedSample(recipe, {"signing": "-"}, NOW)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_the_sample_event_of_a_preset_has_all_that_its_expressions_read(preset: Any) -> None:
    expressions = {name: getattr(preset, name) for name in ("event_type", "response_template")}
    made = build_sample(
        definition(mapping=preset.mapping_example, filter=preset.filter_example, **expressions),
        {},
        preset.sample,
        fresh="1",
    )
    untouched = build_sample(definition(mapping={"a": "b"}), {}, preset.sample, fresh="1")
    assert made == untouched


@pytest.mark.parametrize(
    ("each", "body"),
    [
        ("body.records", {"records": [{"number": "example number", "kind": "order"}]}),
        ("{{ body.text | fromjson }}", {"text": '[{"number": "example number", "kind": "order"}]'}),
    ],
)
def test_what_reads_an_event_of_a_list_gets_a_list_with_one(each: str, body: Any) -> None:
    fields = {"mapping": {"number": "${Webhook::Item.number}"}, "filter": 'item.kind == "order"'}
    made = build_sample(definition(each=each, **fields), {}, None, fresh="1")
    assert json.loads(made.body) == body
