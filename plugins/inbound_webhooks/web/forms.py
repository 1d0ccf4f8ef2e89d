"""The form of a webhook: its fields, their problems, and the draft that they make."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import (
    BooleanField,
    HiddenField,
    IntegerField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Optional, ValidationError
from wtforms.widgets import html_params

from inbound_webhooks.errors import DefinitionError, InvalidDefinition, Problem
from inbound_webhooks.event.expressions.budget import CompileBudget
from inbound_webhooks.event.expressions.engine import compile_bare, compile_condition, compile_expression
from inbound_webhooks.event.expressions.syntax import ALL_SOURCES, ITEM_SOURCES, SOURCES
from inbound_webhooks.event.response import CONTENT_TYPES, compile_response
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.webhook import FIELDS, Draft, Webhook, field_values
from inbound_webhooks.records.webhook_fields import WEBHOOK_NAME_CHARS, WebhookField
from inbound_webhooks.settings import expression_limits
from inbound_webhooks.web.form_data import box_value, compile_error, mapping_of, new_secrets, typed_value
from inbound_webhooks.webhooks.secrets import FILLED_FIELDS, needed_purposes, with_refreshed_keys

SECRET_PREFIX = "secret:"  # noqa: S105 - the beginning of a field's name
MAX_VERIFICATION_CHARS = 20_000


def _as_select(field: ChoiceField, **attributes: Any) -> Markup:
    options = Markup("").join(
        Markup('<option value="{}"{}>{}</option>').format(
            value, Markup(" selected") if value == (field.data or "") else "", label
        )
        for value, label in field.choices
    )
    return Markup("<select {}>{}</select>").format(
        Markup(html_params(name=field.name, **attributes)),  # noqa: S704 - it escapes what it is given
        options,
    )


class ChoiceField(StringField):
    """One of several texts. WTForms' own SelectField changes the format of its choices between versions."""

    widget = staticmethod(_as_select)

    def __init__(self, label: str, choices: Collection[tuple[str, str]], **more: Any) -> None:
        super().__init__(label, **more)
        self.choices = choices

    def pre_validate(self, _form: Any) -> None:
        """Refuse a value that is not among the choices."""
        if (self.data or "") not in {value for value, _ in self.choices}:
            raise ValidationError("Choose one of the options.")


class WebhookForm(FlaskForm):
    """A box for each field of a webhook; :meth:`problems` compiles the expressions."""

    version = HiddenField()
    refresh_keys = BooleanField("Let the dispatcher fetch the vendor's public keys")

    def problems(self, form_data: Any) -> list[Problem]:
        """All problems that can be found without the database."""
        self.validate()
        found = [
            Problem(str(message), name or "")
            for name, messages in self.errors.items()
            for message in messages
        ]
        if not (self.name.data or "").strip():
            found.append(Problem("Enter a name.", "name"))
        return [*found, *self._expression_problems(form_data)]

    def _expression_problems(self, form_data: Any) -> Iterator[Problem]:
        content_type = self.response_content_type.data or CONTENT_TYPES[0]
        sources = ALL_SOURCES if self.wait_seconds.data or self.prefer_wait.data else SOURCES
        # One budget for all of them, as when the webhook is saved.
        budget = CompileBudget(expression_limits().parts)
        of_event = SOURCES | ITEM_SOURCES if self.each.data else SOURCES
        compile_value = partial(compile_expression, budget=budget, sources=of_event)
        for field, compile_source in (
            (self.each, partial(compile_bare, budget=budget, what="a list of events")),
            (self.filter, partial(compile_condition, budget=budget, sources=of_event)),
            (self.dedup, compile_value),
            (self.event_type, compile_value),
            (self.response_template, partial(compile_response, content_type, budget=budget, sources=sources)),
            (self.result_status, partial(compile_value, sources=ALL_SOURCES)),
        ):
            if field.data and (reason := compile_error(compile_source, field.data)):
                yield Problem(reason, field.name)
        try:
            mapping = typed_mapping(form_data)
        except InvalidDefinition as error:
            yield error.problem
            return
        for name, source in mapping.items():
            if reason := compile_error(compile_value, source):
                yield Problem(reason, "mapping", name)

    def draft(self, form_data: Any, purposes: Collection[str], stored: Draft | None = None) -> Draft:
        """The typed draft: the stored webhook with every submitted field replaced.

        A field that the page did not show keeps its stored value, for example one that an upgrade added after
        the page was loaded.

        :param purposes: the purposes that will have secrets
        :raises DefinitionError: a field cannot be parsed
        """
        typed = {
            name: self._typed(field, form_data, purposes)
            for name, field in FIELDS.items()
            if stored is None or self._was_shown(field)
        }
        return Draft(**(field_values(stored) if stored else {}) | typed)

    def _was_shown(self, field: WebhookField) -> bool:
        # A browser sends nothing for a checkbox that is not ticked, nor for a mapping without lines.
        return field.kind == "boolean" or field.is_table or bool(self[field.name].raw_data)

    def _typed(self, field: WebhookField, form_data: Any, purposes: Collection[str]) -> Any:
        if field.is_table:
            return typed_mapping(form_data)
        if field.kind == "objects":
            return self._typed_verification(purposes)
        return typed_value(field, self[field.name].data)

    def _typed_verification(self, purposes: Collection[str]) -> Sequence[Mapping[str, Any]]:
        """The typed schemes, with fetched keys if the checkbox is ticked."""
        given = {*purposes, DEFAULT_PURPOSE} if self.refresh_keys.data else purposes
        verification = _verification(self.verification.data or "", self.preset.data, given)
        return with_refreshed_keys(verification) if self.refresh_keys.data else verification

    def fill(self, webhook: Draft) -> None:
        """Fill the boxes from a stored webhook."""
        schemes = [_without_refreshing(scheme) for scheme in webhook.verification]
        for name, value in (field_values(webhook) | {"verification": schemes}).items():
            self._show(name, value)
        self.refresh_keys.data = any(scheme.get("refresh_keys") for scheme in webhook.verification)
        if isinstance(webhook, Webhook):
            self.version.data = str(webhook.version)

    def copy(self, webhook: Webhook) -> None:
        """Fill the boxes for a new webhook like a stored one, which has secrets and a URL of its own."""
        self.fill(webhook)
        self.version.data = ""
        self.name.data = f"{webhook.name[: WEBHOOK_NAME_CHARS - 5]} copy"

    def use_sender(self, name: str) -> None:
        """Fill the boxes from a preset."""
        preset = PRESETS.get(name)
        if preset is None:
            return
        self.preset.data = name
        self.refresh_keys.data = False
        for field in (*FILLED_FIELDS, "verification"):
            self._show(field, getattr(preset, field))

    def _show(self, name: str, value: Any) -> None:
        if name in self:
            self[name].data = box_value(FIELDS[name], value)


def _box(field: WebhookField) -> Any:
    """The box of a field; WTForms derives its name from the attribute of the form."""
    if field.kind == "boolean":
        return BooleanField(field.label, default=field.default)
    if field.choices is not None:
        choices = [(box_value(field, value), label) for value, label in field.choices().items()]
        return ChoiceField(field.label, choices=choices, default=box_value(field, field.default))
    if field.kind == "integer":
        return IntegerField(field.label, validators=[Optional()])
    return TextAreaField(field.label) if field.rows else StringField(field.label)


for _field in FIELDS.values():
    # The mapping is a table, which the template shows and typed_mapping() reads.
    if not _field.is_table:
        setattr(WebhookForm, _field.name, _box(_field))


def typed_mapping(form_data: Any) -> dict[str, str]:
    """The typed mapping.

    :raises InvalidDefinition: a name is missing or occurs twice
    """
    return mapping_of(form_data.getlist("mapping_name"), form_data.getlist("mapping_expression"))


def typed_secrets(form_data: Any) -> Any:
    """The typed secrets."""
    return new_secrets(
        {
            name.removeprefix(SECRET_PREFIX): value
            for name, value in form_data.items()
            if name.startswith(SECRET_PREFIX)
        }
    )


def secret_fields(form: WebhookForm, held: Collection[str], webhook: Webhook | None) -> list[dict[str, Any]]:
    """The secrets that the form asks for: those of its preset, of its typed schemes, and the stored ones.

    ``needed``: the stored webhook cannot accept requests without it. ``later``: the sender may show it only
    once it has the URL.
    """
    preset = PRESETS.get(form.preset.data or "")
    known = {secret.purpose: vars(secret) for secret in preset.secrets} if preset else {}
    others = (purposes_of(form.verification.data or "") | set(held)) - set(known) - {""}
    try:
        needed = needed_purposes(webhook) if webhook else set()
    except DefinitionError:  # an older version of the plugin stored it; its readiness says so
        needed = set()
    return [
        {
            **{"purpose": name, "label": f"Secret for {name}", "help": "", "chosen_here": True},
            **{"optional": False, **known.get(name, {})},
            **{"held": name in held, "needed": name in needed},
            "later": not known.get(name, {"chosen_here": True})["chosen_here"] and name not in held,
        }
        for name in (*known, *sorted(others))
    ]


def purposes_of(verification_text: str) -> set[str]:
    """The purposes that the typed schemes need secrets for; none while the text cannot be parsed."""
    try:
        return {
            str(scheme.get("purpose", DEFAULT_PURPOSE)) for scheme in _read_verification(verification_text)
        }
    except DefinitionError:
        return set()


def _verification(
    text: str, preset_name: str | None, purposes: Collection[str]
) -> tuple[Mapping[str, Any], ...]:
    typed = tuple(_without_refreshing(scheme) for scheme in _read_verification(text))
    preset = PRESETS.get(preset_name or "")
    if preset is None:
        return typed
    # A scheme with an optional secret applies only if the secret is given. Text that the user edited is kept.
    unchanged = [list(preset.verification), list(preset.verification_with(()))]
    return preset.verification_with(purposes) if list(typed) in unchanged else typed


def _without_refreshing(scheme: Mapping[str, Any]) -> Mapping[str, Any]:
    # The form has a checkbox for it; a copy in the text could contradict the checkbox.
    return {name: value for name, value in scheme.items() if name != "refresh_keys"}


def _read_verification(text: str) -> tuple[Mapping[str, Any], ...]:
    if not text.strip():
        return ()
    if len(text) > MAX_VERIFICATION_CHARS:
        raise InvalidDefinition(
            "verification", f"the text is longer than {MAX_VERIFICATION_CHARS} characters"
        )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidDefinition("verification", "the text is not valid JSON") from None
    if not isinstance(value, list) or not all(isinstance(scheme, dict) for scheme in value):
        raise InvalidDefinition("verification", "the text is not a JSON list of objects")
    return tuple(value)
