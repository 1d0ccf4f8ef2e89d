"""Converts between the fields of a webhook and the texts of its form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.errors import DefinitionError, InvalidDefinition, Problem
from inbound_webhooks.event.conf.parameter import NO_DEFAULT, Parameter
from inbound_webhooks.event.expressions.bare_path import expression_meant
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.webhook import FIELDS
from inbound_webhooks.records.webhook_fields import SECTIONS, WebhookField, json_value
from inbound_webhooks.webhooks.secrets import FILLED_FIELDS, NewSecret


@dataclass(frozen=True)
class Line:
    """One line of the mapping in the form; ``parameter`` is the DAG's param of that name, if it has one."""

    name: str
    expression: str = ""
    parameter: Parameter | None = None

    @property
    def types(self) -> str:
        """The types that the parameter accepts."""
        return " or ".join(sorted(self.parameter.types)) if self.parameter else ""

    @property
    def description(self) -> str:
        """The description from the DAG's author."""
        if self.parameter is None:
            return ""
        schema = self.parameter.schema
        return self.parameter.description or str(schema.get("description_md") or schema.get("title") or "")

    @property
    def default(self) -> str | None:
        """The default as JSON; None for a required parameter."""
        if self.parameter is None or self.parameter.default is NO_DEFAULT:
            return None
        return json.dumps(self.parameter.default, default=str, ensure_ascii=False)

    @property
    def meant(self) -> str | None:
        """The expression that its text was probably meant to be."""
        return expression_meant(self.expression)

    @property
    def choices(self) -> str:
        """The values that the parameter's schema enumerates."""
        allowed = self.parameter.schema.get("enum") if self.parameter else None
        return ", ".join(str(value) for value in allowed) if isinstance(allowed, list) else ""


def by_place(problems: Sequence[Problem]) -> dict[str, list[str]]:
    """Place in the form -> messages; "" stands for the whole form.

    Each line of the mapping has its own place, and each secret; all schemes share one.
    """
    found: dict[str, list[str]] = {}
    for problem in problems:
        has_own = problem.field in ("mapping", "secrets") and problem.part
        place = f"{problem.field}:{problem.part}" if has_own else problem.field
        message = problem.message[:1].upper() + problem.message[1:]
        if problem.part and problem.field in FIELDS and FIELDS[problem.field].separator:
            message = f"{problem.part}: {problem.message}"
        found.setdefault(place, []).append(message)
    return found


def lines(params: Mapping[str, Parameter], mapping: Mapping[str, str]) -> list[Line]:
    """A line for each of the DAG's params, then one for each further name in the mapping."""
    known = [Line(name, mapping.get(name, ""), parameter) for name, parameter in params.items()]
    return known + [Line(name, text) for name, text in mapping.items() if name not in params]


def mapping_of(names: Sequence[str], expressions: Sequence[str]) -> dict[str, str]:
    """The lines that have an expression.

    :raises InvalidDefinition: a name is missing or occurs twice
    """
    mapping: dict[str, str] = {}
    for name, expression in zip(names, expressions, strict=False):
        name = name.strip()
        if not expression.strip():
            continue
        if not name:
            raise InvalidDefinition("mapping", "an expression has no parameter: enter its name")
        if name in mapping:
            raise InvalidDefinition("mapping", f"the parameter {name} occurs twice")
        mapping[name] = expression
    return mapping


def compile_error(compile_source: Any, source: str) -> str | None:
    """The reason why an expression or template does not compile; None if it does."""
    try:
        compile_source(source)
    except DefinitionError as error:
        return error.problem.message
    return None


def new_secrets(values: Mapping[str, str]) -> list[NewSecret]:
    """The typed secrets, from purpose -> text; an empty text keeps the stored secret."""
    return [NewSecret(purpose, value.strip("\r\n")) for purpose, value in values.items() if value]


def preset_document(name: str) -> dict[str, Any]:
    """A preset as JSON; a script fills the form with it when the user selects the sender."""
    preset = PRESETS[name]
    return {
        "name": preset.name,
        "title": preset.title,
        "documentation_url": preset.documentation_url,
        "steps": list(preset.steps),
        "notes": list(preset.notes),
        "secrets": [vars(secret) for secret in preset.secrets],
        "fields": {
            **{field: box_value(FIELDS[field], getattr(preset, field)) for field in FILLED_FIELDS},
            "verification": box_value(FIELDS["verification"], preset.verification),
        },
        "dedup_alternative": preset.dedup_alternative,
        "events": list(preset.events),
        "filter_example": preset.filter_example,
        "mapping_example": dict(preset.mapping_example),
        "signs_body": preset.signs_body,
    }


# --- a field of the model as a box of the form ----------------------------------------------

OPTIONAL_SECTIONS = ("run", "filter", "routes", "grouping", "response", "notifications", "limits")


@dataclass(frozen=True)
class SectionBoxes:
    """A section's fields in rows; ``folded`` rows are shown on demand."""

    title: str
    rows: Sequence[Sequence[WebhookField]]
    folded: Sequence[Sequence[WebhookField]]
    is_optional: bool = False
    """Whether a webhook starts runs without it, so that the form folds it at first."""

    def changed(self, form: Any) -> list[str]:
        """The labels of the fields that have another value than their default."""
        shown = ((field, form[field.name].data) for row in self.rows for field in row)
        return [
            field.label for field, data in shown if (data or "") != (box_value(field, field.default) or "")
        ]

    def opens(self, form: Any) -> bool:
        """Whether it is shown at first: a filter decides which events start a run."""
        return self.title == SECTIONS["filter"] and bool(form["filter"].data or form["event_type"].data)

    def has_problem(self, problems: Mapping[str, Any]) -> bool:
        """Whether one of its fields has a problem."""
        return any(field.name in problems for row in self.rows for field in row)


def sections() -> dict[str, SectionBoxes]:
    """The sections of the form, in order, with their fields of the model."""
    found = {}
    for name, title in SECTIONS.items():
        fields = [field for field in FIELDS.values() if field.section == name]
        shown, folded = [[one for one in fields if one.folded is value] for value in (False, True)]
        found[name] = SectionBoxes(title, _rows(shown), _rows(folded), name in OPTIONAL_SECTIONS)
    return found


def _rows(fields: Sequence[WebhookField]) -> list[list[WebhookField]]:
    """A wide field gets its own row; consecutive narrow fields share one."""
    rows: list[list[WebhookField]] = []
    for field in fields:
        if rows and not field.wide and not rows[-1][0].wide:
            rows[-1].append(field)
        else:
            rows.append([field])
    return rows


def attributes(field: WebhookField) -> dict[str, Any]:
    """The HTML attributes of a field's box; ``data-filled`` is its value without a preset."""
    is_filled = field.filled_by_preset or field.kind == "objects"
    found = {
        "rows": field.rows or None,
        "class": "mono" if field.is_code else None,
        "maxlength": field.max_chars,
        "required": field.required or None,
        "inputmode": "numeric" if field.kind == "integer" and field.choices is None else None,
        "data-completes": field.completes or None,
        "data-path": (field.completes and field.name in ("event_type", "dedup")) or None,
        "data-filled": box_value(field, field.default) if is_filled else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def box_value(field: WebhookField, value: Any) -> Any:
    """A field's value as its box shows it."""
    if field.kind == "boolean":
        return value
    if field.kind == "objects":
        return json.dumps(json_value(value), indent=2) if value else ""
    if field.kind == "list":
        return "\n".join(value)
    if field.kind == "mapping":
        return "\n".join(f"{name}{field.separator} {text}" for name, text in value.items())
    return "" if value is None else str(value)


def typed_value(field: WebhookField, data: Any) -> Any:
    """A field's value from the data of its box; objects and tables are read elsewhere.

    :raises InvalidDefinition: a line of a mapping has no name
    """
    if field.kind == "boolean":
        return bool(data)
    if field.kind == "list":
        return tuple((data or "").replace(",", " ").replace(";", " ").split())
    if field.kind == "mapping":
        return _typed_lines(field, data or "")
    if field.kind == "integer":
        return None if data in (None, "") else int(data)
    if field.required or field.blank:
        return (data or "").strip()
    # White space alone counts as no text, but a text may end in it. Browsers send line ends as CR LF.
    return data.replace("\r\n", "\n") if data and data.strip() else None


def _typed_lines(field: WebhookField, data: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(str.strip, data.splitlines()):
        name, separator, text = line.partition(field.separator)
        if not separator or not name.strip():
            raise InvalidDefinition(field.name, f"write each line as {field.metavar.strip(chr(39))}")
        if name.strip() in found:
            raise InvalidDefinition(field.name, "the name occurs twice", name.strip())
        found[name.strip()] = text.strip()
    return found
