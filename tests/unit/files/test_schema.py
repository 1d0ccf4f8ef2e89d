"""The published JSON Schema says what files may say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from inbound_webhooks.files import schema
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.webhook import Draft

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "webhooks.schema.json"


def validator() -> jsonschema.Draft202012Validator:
    document = json.loads(PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def is_valid(**fields) -> bool:
    return validator().is_valid({"webhooks": [{"name": "a", "dag_id": "b", **fields}]})


def test_the_published_schema_is_up_to_date():
    assert PUBLISHED.read_text() == schema.text(), "python -m inbound_webhooks.files.schema writes it"


def test_every_field_of_a_draft_is_in_it_and_no_other():
    names = {field.name for field in dataclasses.fields(Draft)}
    assert set(schema.webhook_schema()["properties"]) == names | {"secrets"}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_it_takes_the_verification_of_every_preset(preset):
    assert is_valid(
        preset=preset.name,
        verification=[dict(scheme) for scheme in json.loads(json.dumps(preset.verification))],
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"filtr": "x"},
        {"enabled": "yes"},
        {"preset": "nobody"},
        {"disabled_status": 404},
        {"max_per_second": 0},
        {"mapping": {"a": 1}},
        {"verification": [{"kind": "hmac"}]},
        {"verification": [{"kind": "hmac", "header": "X", "encoding": "base32"}]},
        {"verification": [{"kind": "nothing"}]},
        {"secrets": {"signing": "the secret itself"}},
        {"secrets": {"signing": "plain:secret"}},
    ],
    ids=str,
)
def test_it_refuses_what_could_not_be_imported(fields):
    assert not is_valid(**fields)


def test_the_example_follows_it():
    example = ROOT / "dags" / "webhooks.yaml"
    validator().validate(yaml.safe_load(example.read_text()))
    comment = example.read_text().partition("\n")[0]
    assert (example.parent / comment.partition("=")[2]).resolve() == PUBLISHED
