"""What is done with an input of each kind: as endpoint, import and API do, without a database."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from inbound_webhooks.errors import WebhookError
from inbound_webhooks.event.conf.parameter import Parameter
from inbound_webhooks.event.judge import decide_as_received
from inbound_webhooks.event.request import InboundRequest
from inbound_webhooks.event.rules import Rules, compile_rules
from inbound_webhooks.files.reading import read_files
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.rest.requests import BackTestBody, WebhookBody
from inbound_webhooks.webhooks import service
from tests.fuzz.body_inputs import BODIES, BodyInput
from tests.fuzz.campaign import Kind
from tests.fuzz.definition_inputs import REST_BODIES, YAML_TEXTS
from tests.fuzz.schema_inputs import SCHEMAS, SchemaInput
from tests.fuzz.template_inputs import TEMPLATES, TemplateInput, request

MAX_CONTENT_BYTES = 2 * 1024 * 1024

OVER_A_BODY = compile_rules(
    Draft(
        name="orders",
        dag_id="orders",
        mapping={
            "whole": "${Webhook::Body}",
            "a": "${Webhook::Body.a}",
            "b": "{{ query.a | default(body.a) }}",
        },
        event_type="${Webhook::Body.a}",
        dedup="{{ body | tojson }}",
        filter="body.a != 'unwanted'",
        response_template="{{ body.a }} {{ query.a }}",
        response_content_type="application/xml",
    )
)
WHOLE_EVENT = compile_rules(Draft(name="orders", dag_id="orders"))


def template(value: TemplateInput) -> None:
    """Compile the templates, and judge the request by them."""
    try:
        rules = compile_rules(
            Draft(
                name="orders",
                dag_id="orders",
                mapping=value.mapping,
                filter=value.filter,
                response_template=value.response_template,
            )
        )
    except WebhookError:
        return
    _judge(rules, value.request())


def schema(value: SchemaInput) -> None:
    """Check the request's value against the param's schema, as the endpoint does."""
    rules = compile_rules(Draft(name="orders", dag_id="orders", mapping={"it": "${Webhook::Body.it}"}))
    body = value.body()
    if len(body) <= MAX_CONTENT_BYTES:
        _judge(rules, request(body), {"it": Parameter("it", value.schema)})


def body(value: BodyInput) -> None:
    """Judge the request by rules that read all of its body, and by none."""
    received = value.request()
    if len(received.body) <= MAX_CONTENT_BYTES:
        for rules in (OVER_A_BODY, WHOLE_EVENT):
            _judge(rules, received)


def yaml_file(text: str) -> None:
    """Read a definition file, and compile what it defines."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "webhooks.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        found = read_files([file])
    for entry in found.entries:
        try:
            compile_rules(entry.draft())
        except WebhookError:
            continue


def rest_body(text: str) -> None:
    """Validate a body of the API, and compile the webhook that it makes or changes."""
    for model in (WebhookBody, BackTestBody):
        try:
            read = model.model_validate_json(text.encode("utf-8", "surrogatepass"))
        except ValidationError:
            continue
        fields = read.model_dump(exclude_unset=True)
        fields = {"name": "orders", "dag_id": "orders", **fields.get("draft", fields)}
        fields = {name: it for name, it in fields.items() if name not in ("secrets", "version")}
        try:
            compile_rules(service.drafted(preset=fields.pop("preset", None), **fields))
        except WebhookError:
            continue


def _judge(rules: Rules, received: InboundRequest, params: Mapping[str, Parameter] | None = None) -> None:
    verdict = decide_as_received(
        rules,
        received,
        params,
        delivery_id="0190",
        max_content_bytes=MAX_CONTENT_BYTES,
        encoding=received.combined_header("Content-Encoding"),
        secrets={},
    )
    if verdict.conf is not None:
        json.loads(verdict.conf)


KINDS = {
    "templates": Kind(TEMPLATES, template),
    "schemas": Kind(SCHEMAS, schema),
    "bodies": Kind(BODIES, body),
    "definition files": Kind(YAML_TEXTS, yaml_file),
    "REST bodies": Kind(REST_BODIES, rest_body),
}
