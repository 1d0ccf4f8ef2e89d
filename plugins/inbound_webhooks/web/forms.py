"""The form of a webhook: its fields, what is wrong with them, and the draft that they make."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from inbound_webhooks.event.expressions.engine import compile_condition, compile_expression
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.response import CONTENT_TYPES, compile_response
from inbound_webhooks.event.verification.registry import DEFAULT_PURPOSE
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.records.webhook import Draft, Webhook
from inbound_webhooks.web.form_data import compile_error, mapping_of, new_secrets
from inbound_webhooks.webhooks.secrets import FILLED_FIELDS, with_refreshed_keys

SECRET_PREFIX = "secret:"  # noqa: S105 - the beginning of a field's name
MAX_VERIFICATION_CHARS = 20_000

_LIMITS = ("max_per_second", "max_backlog", "max_active_runs")

_BY_TITLE = sorted(PRESETS.values(), key=lambda preset: preset.title.lower())
_SENDERS = [("", "Any sender, known by the URL alone"), *((found.name, found.title) for found in _BY_TITLE)]


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
    """One of some texts; WTForms' own is changing how it takes its choices."""

    widget = staticmethod(_as_select)

    def __init__(self, label: str, choices: Collection[tuple[str, str]], **more: Any) -> None:
        super().__init__(label, **more)
        self.choices = choices

    def pre_validate(self, _form: Any) -> None:
        """Refuse what is none of them."""
        if (self.data or "") not in {value for value, _ in self.choices}:
            raise ValidationError("This is none of the choices.")


class WebhookForm(FlaskForm):
    """What a person may say of a webhook; expressions are compiled when they are typed, not when they run."""

    version = HiddenField()
    name = StringField("Name")
    dag_id = StringField("DAG")
    enabled = BooleanField("Enabled", default=True)

    preset = ChoiceField("Which system calls", choices=_SENDERS, default="")
    handshake = ChoiceField(
        "Endpoint check", choices=[("", "None"), *((name, name) for name in HANDSHAKES)], default=""
    )
    verification = TextAreaField("Proofs (JSON)")
    refresh_keys = BooleanField("Let the dispatcher fetch the vendor's public keys")
    dedup = StringField("What names an event")

    event_type = StringField("What kind of event it is")
    filter = TextAreaField("Only events for which this is true")

    response_status = IntegerField("Status", validators=[Optional()])
    response_content_type = ChoiceField(
        "Content type", choices=[(name, name) for name in CONTENT_TYPES], default=CONTENT_TYPES[0]
    )
    response_template = TextAreaField("Template")
    disabled_status = ChoiceField(
        "While disabled",
        default="403",
        choices=[("403", "403 Forbidden"), ("503", "503, so that the sender tries again")],
    )
    invalid_status = ChoiceField(
        "Values that break the DAG's params",
        default="422",
        choices=[
            ("422", "422 Unprocessable"),
            ("202", "202, so that the sender does not repeat it"),
            ("200", "200, for senders that take nothing else for a success"),
        ],
    )

    notify_success = TextAreaField("When a run succeeded")
    notify_failure = TextAreaField("When a run failed or could not be made")

    allowed_addresses = TextAreaField("Addresses that may call")
    max_per_second = IntegerField("Requests a second", validators=[Optional()])
    max_backlog = IntegerField("Deliveries that wait", validators=[Optional()])
    max_active_runs = IntegerField("Active runs", validators=[Optional()])

    def problems(self, form_data: Any) -> list[Problem]:
        """Everything that can be told without the database, all at once."""
        self.validate()
        found = [
            Problem(str(message), name or "")
            for name, messages in self.errors.items()
            for message in messages
        ]
        if not (self.name.data or "").strip():
            found.append(Problem("A name is needed.", "name"))
        if not (self.dag_id.data or "").strip():
            found.append(Problem("The id of a DAG is needed.", "dag_id"))
        return [*found, *self._expression_problems(form_data)]

    def _expression_problems(self, form_data: Any) -> Iterator[Problem]:
        content_type = self.response_content_type.data or CONTENT_TYPES[0]
        for field, compile_source in (
            (self.filter, compile_condition),
            (self.dedup, compile_expression),
            (self.event_type, compile_expression),
            (self.response_template, lambda text: compile_response(content_type, text)),
        ):
            if field.data and (reason := compile_error(compile_source, field.data)):
                yield Problem(reason, field.name)
        try:
            mapping = typed_mapping(form_data)
        except InvalidDefinition as error:
            yield error.problem
            return
        for name, source in mapping.items():
            if reason := compile_error(compile_expression, source):
                yield Problem(reason, "mapping", name)

    def draft(self, form_data: Any, purposes: Collection[str]) -> Draft:
        """The draft that was typed.

        :param purposes: what there will be secrets for
        :raises DefinitionError: something cannot be read at all
        """
        preset = self.preset.data or None
        return Draft(
            name=(self.name.data or "").strip(),
            dag_id=(self.dag_id.data or "").strip(),
            enabled=self.enabled.data,
            mapping=typed_mapping(form_data),
            response_content_type=self.response_content_type.data,
            # A template may end in white space; one that is nothing else is none.
            response_template=_text(self.response_template.data),
            response_status=self.response_status.data,
            disabled_status=int(self.disabled_status.data),
            invalid_status=int(self.invalid_status.data),
            preset=preset,
            verification=self._asked_verification(preset, purposes),
            handshake=self.handshake.data or None,
            allowed_addresses=_words(self.allowed_addresses.data),
            event_type=_text(self.event_type.data),
            filter=_text(self.filter.data),
            dedup=_text(self.dedup.data),
            max_per_second=self.max_per_second.data,
            max_backlog=self.max_backlog.data,
            max_active_runs=self.max_active_runs.data,
            notify_success=_words(self.notify_success.data),
            notify_failure=_words(self.notify_failure.data),
        )

    def _asked_verification(
        self, preset: str | None, purposes: Collection[str]
    ) -> Sequence[Mapping[str, Any]]:
        """The proofs with or without fetched keys, as the box beside them says."""
        given = {*purposes, DEFAULT_PURPOSE} if self.refresh_keys.data else purposes
        verification = _verification(self.verification.data or "", preset, given)
        return with_refreshed_keys(verification) if self.refresh_keys.data else verification

    def fill(self, webhook: Draft) -> None:
        """Show a webhook as it is stored."""
        for name in ("name", "dag_id", "enabled", "preset", "handshake", "event_type", "dedup", "filter"):
            self[name].data = getattr(webhook, name) or ""
        self.enabled.data = webhook.enabled
        for name in (*_LIMITS, "response_status", "response_content_type", "response_template"):
            self[name].data = getattr(webhook, name)
        self.disabled_status.data = str(webhook.disabled_status)
        self.invalid_status.data = str(webhook.invalid_status)
        self.allowed_addresses.data = "\n".join(webhook.allowed_addresses)
        self.verification.data = _verification_text(
            [_without_refreshing(scheme) for scheme in webhook.verification]
        )
        self.refresh_keys.data = any(scheme.get("refresh_keys") for scheme in webhook.verification)
        for name in ("notify_success", "notify_failure"):
            self[name].data = "\n".join(getattr(webhook, name))
        if isinstance(webhook, Webhook):
            self.version.data = str(webhook.version)

    def use_sender(self, name: str) -> None:
        """Put what a kind of sender needs into the fields."""
        preset = PRESETS.get(name)
        if preset is None:
            return
        self.preset.data = name
        self.verification.data = _verification_text(preset.verification)
        self.refresh_keys.data = False
        for field in FILLED_FIELDS:
            value = getattr(preset, field)
            self[field].data = (
                str(value) if field.endswith("ed_status") or field == "invalid_status" else value
            )
        self.handshake.data = preset.handshake or ""


def typed_mapping(form_data: Any) -> dict[str, str]:
    """The lines of the mapping.

    :raises InvalidDefinition: a name is missing or there twice
    """
    return mapping_of(form_data.getlist("mapping_name"), form_data.getlist("mapping_expression"))


def typed_secrets(form_data: Any) -> Any:
    """The secrets that were typed."""
    return new_secrets(
        {
            name.removeprefix(SECRET_PREFIX): value
            for name, value in form_data.items()
            if name.startswith(SECRET_PREFIX)
        }
    )


def purposes_of(verification_text: str) -> set[str]:
    """For what the proofs as they are typed want secrets; nothing while they cannot be read."""
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
    # A proof whose secret is optional counts with one and is left out without, until somebody changes it.
    unchanged = [list(preset.verification), list(preset.verification_with(()))]
    return preset.verification_with(purposes) if list(typed) in unchanged else typed


def _without_refreshing(scheme: Mapping[str, Any]) -> Mapping[str, Any]:
    # The form has a box for it, which would contradict the text.
    return {name: value for name, value in scheme.items() if name != "refresh_keys"}


def _read_verification(text: str) -> tuple[Mapping[str, Any], ...]:
    if not text.strip():
        return ()
    if len(text) > MAX_VERIFICATION_CHARS:
        raise InvalidDefinition("verification", f"it is longer than {MAX_VERIFICATION_CHARS} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidDefinition("verification", "it is not JSON") from None
    if not isinstance(value, list) or not all(isinstance(scheme, dict) for scheme in value):
        raise InvalidDefinition("verification", "it is not a list of objects")
    return tuple(value)


def _verification_text(verification: Collection[Mapping[str, Any]]) -> str:
    return json.dumps([dict(scheme) for scheme in verification], indent=2) if verification else ""


def _text(value: str | None) -> str | None:
    # Browsers send the ends of lines as CR LF.
    return value.replace("\r\n", "\n") if value and value.strip() else None


def _words(value: str | None) -> tuple[str, ...]:
    return tuple((value or "").replace(",", " ").replace(";", " ").split())
