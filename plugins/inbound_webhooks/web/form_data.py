"""What a form says of a webhook, as it was typed, and its way into a draft and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inbound_webhooks.errors import DefinitionError, InvalidDefinition, TemplateRefused
from inbound_webhooks.event.conf.parameter import NO_DEFAULT, Parameter
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.webhooks.secrets import NewSecret

FIELD_OF = {
    "name": "name",
    "dag id": "dag_id",
    "preset": "preset",
    "handshake": "handshake",
    "secret": "secrets",
    "refresh keys": "refresh_keys",
    "event type": "event_type",
    "filter": "filter",
    "dedup": "dedup",
    "allowed addresses": "allowed_addresses",
    "requests per second": "max_per_second",
    "max backlog": "max_backlog",
    "max active runs": "max_active_runs",
    "disabled status": "disabled_status",
    "invalid status": "invalid_status",
    "response status": "response_status",
    "response content type": "response_content_type",
    "response template": "response_template",
    "notify on success": "notify_success",
    "notify on failure": "notify_failure",
    "mapping": "mapping",
}
"""What an error calls a field -> the form's field beside which it is said."""


@dataclass(frozen=True)
class Line:
    """One line of the mapping in the form; ``parameter`` is the DAG's own, where it has one of that name."""

    name: str
    expression: str = ""
    parameter: Parameter | None = None

    @property
    def types(self) -> str:
        """The types that it takes, in words."""
        return " or ".join(sorted(self.parameter.types)) if self.parameter else ""

    @property
    def description(self) -> str:
        """What the DAG's author says of it."""
        if self.parameter is None:
            return ""
        schema = self.parameter.schema
        return self.parameter.description or str(schema.get("description_md") or schema.get("title") or "")

    @property
    def default(self) -> str | None:
        """The default as JSON, None where there is none."""
        if self.parameter is None or self.parameter.default is NO_DEFAULT:
            return None
        return json.dumps(self.parameter.default, default=str, ensure_ascii=False)

    @property
    def choices(self) -> str:
        """The values that it may have, where they are few."""
        allowed = self.parameter.schema.get("enum") if self.parameter else None
        return ", ".join(str(value) for value in allowed) if isinstance(allowed, list) else ""


@dataclass
class Problems:
    """What is wrong, beside which field; "" is the whole form."""

    by_field: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, message: str) -> None:
        """One more."""
        self.by_field.setdefault(name, []).append(message[:1].upper() + message[1:])

    def note(self, error: DefinitionError) -> None:
        """One that an error tells."""
        if isinstance(error, InvalidDefinition):
            self.add(field_of(error.field), error.message.partition(": ")[2])
        else:
            self.add("name" if "named" in error.message else "", error.message)

    def __bool__(self) -> bool:
        return bool(self.by_field)


def field_of(name: str) -> str:
    """The form's field of an :class:`InvalidDefinition`."""
    if name.startswith("mapping of "):
        return f"mapping:{name.removeprefix('mapping of ')}"
    # Settings of proofs are named one by one; all stand in one field.
    return FIELD_OF.get(name, "verification")


def lines(params: Mapping[str, Parameter], mapping: Mapping[str, str]) -> list[Line]:
    """A line for each of the DAG's params, then one for each other name in the mapping."""
    known = [Line(name, mapping.get(name, ""), parameter) for name, parameter in params.items()]
    return known + [Line(name, text) for name, text in mapping.items() if name not in params]


def mapping_of(names: Sequence[str], expressions: Sequence[str]) -> dict[str, str]:
    """The lines that say something.

    :raises InvalidDefinition: a name is there twice, or missing
    """
    mapping: dict[str, str] = {}
    for name, expression in zip(names, expressions, strict=False):
        name = name.strip()
        if not expression.strip():
            continue
        if not name:
            raise InvalidDefinition("mapping", "an expression has no parameter's name beside it")
        if name in mapping:
            raise InvalidDefinition("mapping", f"{name} is there twice")
        mapping[name] = expression
    return mapping


def compile_error(compile_source: Any, source: str) -> str | None:
    """Why an expression or template does not compile."""
    try:
        compile_source(source)
    except TemplateRefused as error:
        return error.message
    except InvalidDefinition as error:
        return error.message
    return None


def new_secrets(values: Mapping[str, str]) -> list[NewSecret]:
    """The secrets that were typed, by purpose; empty ones leave what is stored as it is."""
    return [NewSecret(purpose, value.strip("\r\n")) for purpose, value in values.items() if value]


def preset_document(name: str) -> dict[str, Any]:
    """What a script fills the form with when a sender is picked."""
    preset = PRESETS[name]
    return {
        "name": preset.name,
        "title": preset.title,
        "documentation_url": preset.documentation_url,
        "steps": list(preset.steps),
        "notes": list(preset.notes),
        "secrets": [vars(secret) for secret in preset.secrets],
        "verification": json.dumps([dict(scheme) for scheme in preset.verification], indent=2)
        if preset.verification
        else "",
        "handshake": preset.handshake or "",
        "dedup": preset.dedup or "",
        "event_type": preset.event_type or "",
        "dedup_alternative": preset.dedup_alternative,
        "events": list(preset.events),
        "filter_example": preset.filter_example,
        "mapping_example": dict(preset.mapping_example),
        "signs_body": preset.signs_body,
        "response_status": preset.response_status or "",
        "response_content_type": preset.response_content_type,
        "response_template": preset.response_template or "",
        "disabled_status": str(preset.disabled_status),
        "invalid_status": str(preset.invalid_status),
    }
