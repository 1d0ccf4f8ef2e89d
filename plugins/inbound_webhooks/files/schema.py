"""The JSON Schema of definition files, generated from webhook fields and settings of verification schemes.

``python -m inbound_webhooks.files.schema`` prints it.
"""

from __future__ import annotations

import dataclasses
import json
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from inbound_webhooks.event.verification.registry import SCHEMES
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE
from inbound_webhooks.event.verification.settings import MAX_SECONDS
from inbound_webhooks.files import references
from inbound_webhooks.records.webhook import FIELDS
from inbound_webhooks.records.webhook_fields import WebhookField

SECRETS_HELP = "Purpose -> reference to the secret; for a connection, its password."

ID = "https://json-schema.org/draft/2020-12/schema"


def document() -> dict[str, Any]:
    """The whole schema."""
    return {
        "$schema": ID,
        "title": "Inbound webhooks for Apache Airflow",
        "type": "object",
        "required": ["webhooks"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "For anchors; ignored."}},
        "properties": {"webhooks": {"type": "array", "items": {"$ref": "#/$defs/webhook"}}},
        "$defs": {
            "webhook": webhook_schema(),
            "verification": {"oneOf": [_scheme(kind) for kind in SCHEMES]},
        },
    }


def webhook_schema() -> dict[str, Any]:
    """The schema of one webhook."""
    properties = {name: field_schema(field) for name, field in FIELDS.items()}
    return {
        "type": "object",
        "required": [name for name, field in FIELDS.items() if field.required],
        "additionalProperties": False,
        "properties": properties | {"secrets": _SECRETS},
    }


def field_schema(field: WebhookField) -> dict[str, Any]:
    """The schema of one field of a webhook."""
    found: dict[str, Any] = {"description": field.help, **_TYPES[field.kind]}
    if field.nullable:
        found["type"] = [found["type"], "null"]
    found |= limits(field)
    if not field.required and field.default not in (None, (), {}):
        found["default"] = field.default
    return found


def limits(field: WebhookField) -> dict[str, Any]:
    """A field's limits beyond its type."""
    if field.choices is not None:
        return {"enum": list(field.choices())}
    found = {
        "minLength": 1 if field.kind == "text" and field.required else None,
        "maxLength": field.max_chars,
        "minimum": field.minimum,
        "maximum": field.maximum,
    }
    return {name: limit for name, limit in found.items() if limit is not None}


_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "string", "minLength": 1}},
    "objects": {"type": "array", "items": {"$ref": "#/$defs/verification"}},
    "mapping": {"type": "object", "additionalProperties": {"type": "string"}},
}
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
_SECRETS = {
    "description": SECRETS_HELP,
    "type": "object",
    "examples": [{DEFAULT_PURPOSE: "connection:github_webhook"}],
    "additionalProperties": {"type": "string", "pattern": references.PATTERN},
}


def _type(hint: Any) -> dict[str, Any]:
    """The JSON Schema of a Python type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        types = [_type(option) for option in arguments]
        if all(set(found) == {"type"} for found in types):
            return {"type": [found["type"] for found in types]}
        return {"anyOf": types}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": {"type": "string", "minLength": 1}}
    return {"type": _NAMES[hint]}


def _scheme(kind: str) -> dict[str, Any]:
    scheme_type = SCHEMES[kind]
    hints, fields = get_type_hints(scheme_type), dataclasses.fields(scheme_type)
    return {
        "title": kind,
        "description": (scheme_type.__doc__ or "").partition("\n")[0],
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
    """The text of the published file."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    print(text(), end="")
