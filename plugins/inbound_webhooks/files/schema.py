"""The JSON Schema of definition files, made from what a draft and the proofs are made of.

``python -m inbound_webhooks.files.schema`` prints it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.response import CONTENT_TYPES
from inbound_webhooks.event.verification.registry import DEFAULT_PURPOSE, SCHEMES
from inbound_webhooks.event.verification.settings import MAX_SECONDS
from inbound_webhooks.files import references
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.webhook import Draft
from inbound_webhooks.storage.tables import WEBHOOK_NAME_CHARS
from inbound_webhooks.webhooks.service import DISABLED_STATUSES, INVALID_STATUSES, MAX_LIMIT

DESCRIPTIONS = {
    "name": "What the webhook is called; an import finds it again by its name.",
    "dag_id": "The DAG that it runs.",
    "enabled": "Whether it accepts requests.",
    "mapping": "Parameter of the DAG -> expression; without any, conf is the whole event.",
    "response_content_type": "The type of the response template.",
    "response_template": "What is answered, with expressions like the mapping's.",
    "response_status": "The status of an accepted request.",
    "disabled_status": "What it answers while it is disabled.",
    "invalid_status": "What is answered where a value breaks the DAG's params.",
    "preset": "The kind of sender: it fills in every field that is not here.",
    "verification": "How the sender proves who it is; instead of those of the preset.",
    "handshake": "How the sender checks the URL.",
    "allowed_addresses": "CIDR blocks that may call; all where there are none.",
    "event_type": "An expression for what the sender calls the kind of event.",
    "filter": "A condition: which events count. Others are answered and not run.",
    "dedup": "An expression for what names an event, so that a repetition is seen.",
    "max_per_second": "Requests a second; 429 above.",
    "max_backlog": "Deliveries that may wait for their run; 429 above.",
    "max_active_runs": "Runs that may be unfinished at the same time; further deliveries wait in order.",
    "notify_success": "Addresses that get a mail of each run that succeeds.",
    "notify_failure": "Addresses that get mails of runs that fail or cannot start.",
    "secrets": "Purpose -> where the secret stands; of a connection it is the password.",
}

LIMITS: dict[str, dict[str, Any]] = {
    "name": {"minLength": 1, "maxLength": WEBHOOK_NAME_CHARS},
    "dag_id": {"minLength": 1, "maxLength": 250},
    "response_content_type": {"enum": list(CONTENT_TYPES)},
    "response_status": {"minimum": 200, "maximum": 299},
    "disabled_status": {"enum": list(DISABLED_STATUSES)},
    "invalid_status": {"enum": list(INVALID_STATUSES)},
    "preset": {"enum": [*PRESETS, None]},
    "handshake": {"enum": [*HANDSHAKES, None]},
    "max_per_second": {"minimum": 1, "maximum": MAX_LIMIT},
    "max_backlog": {"minimum": 1, "maximum": MAX_LIMIT},
    "max_active_runs": {"minimum": 1, "maximum": MAX_LIMIT},
}
"""What a field may be beyond its type."""

ID = "https://json-schema.org/draft/2020-12/schema"


def document() -> dict[str, Any]:
    """The whole schema."""
    return {
        "$schema": ID,
        "title": "Inbound webhooks for Apache Airflow",
        "type": "object",
        "required": ["webhooks"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "For anchors; it is not looked at."}},
        "properties": {"webhooks": {"type": "array", "items": {"$ref": "#/$defs/webhook"}}},
        "$defs": {
            "webhook": webhook_schema(),
            "verification": {"oneOf": [_scheme(kind) for kind in SCHEMES]},
        },
    }


def webhook_schema() -> dict[str, Any]:
    """The schema of one webhook."""
    fields = dataclasses.fields(Draft)
    properties = {field.name: field_schema(field.name) for field in fields}
    return {
        "type": "object",
        "required": [field.name for field in fields if _is_required(field)],
        "additionalProperties": False,
        "properties": properties | {"secrets": _SECRETS},
    }


def field_schema(name: str) -> dict[str, Any]:
    """The schema of one field of a draft."""
    found = {"description": DESCRIPTIONS[name], **_type(_HINTS[name]), **LIMITS.get(name, {})}
    field = Draft.__dataclass_fields__[name]
    if field.default is not dataclasses.MISSING and field.default not in (None, ()):
        found["default"] = field.default
    return found


_HINTS = get_type_hints(Draft)
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
_SECRETS = {
    "description": DESCRIPTIONS["secrets"],
    "type": "object",
    "examples": [{DEFAULT_PURPOSE: "connection:github_webhook"}],
    "additionalProperties": {"type": "string", "pattern": references.PATTERN},
}


def _type(hint: Any) -> dict[str, Any]:
    """A type of Python's as JSON Schema has it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        types = [_type(option) for option in arguments]
        if all(set(found) == {"type"} for found in types):
            return {"type": [found["type"] for found in types]}
        return {"anyOf": types}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is Sequence and get_origin(arguments[0]) is Mapping:
        return {"type": "array", "items": {"$ref": "#/$defs/verification"}}
    if origin in (Sequence, tuple):
        return {"type": "array", "items": {"type": "string", "minLength": 1}}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    return {"type": _NAMES[hint]}


def _scheme(kind: str) -> dict[str, Any]:
    made_of = SCHEMES[kind]
    hints, fields = get_type_hints(made_of), dataclasses.fields(made_of)
    return {
        "title": kind,
        "description": (made_of.__doc__ or "").partition("\n")[0],
        "type": "object",
        "required": ["kind", *(field.name for field in fields if _is_required(field))],
        "additionalProperties": False,
        "properties": {"kind": {"const": kind}, "purpose": {"type": "string", "default": DEFAULT_PURPOSE}}
        | {field.name: _setting(hints[field.name]) for field in fields},
    }


def _setting(hint: Any) -> dict[str, Any]:
    found = _type(hint)
    takes_number = found.get("type") == "number" or "number" in found.get("type", ())
    return found | ({"exclusiveMinimum": 0, "maximum": MAX_SECONDS} if takes_number else {})


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def text() -> str:
    """The schema as the published file has it."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
