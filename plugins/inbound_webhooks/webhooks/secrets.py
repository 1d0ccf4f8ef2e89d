"""What a preset fills in, and which secrets a webhook cannot do without."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event.json_text import text_problem
from inbound_webhooks.event.verification.public_keys import can_refresh_keys, refreshes_keys
from inbound_webhooks.event.verification.registry import check_secret as check_scheme_secret
from inbound_webhooks.event.verification.scheme import check_text_secret
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.presets.preset import Preset
from inbound_webhooks.presets.preset import Secret as PresetSecret
from inbound_webhooks.records.webhook import FIELDS, Webhook
from inbound_webhooks.webhooks.compiled import compile_webhook

FILLED_FIELDS = tuple(name for name, field in FIELDS.items() if field.filled_by_preset)
"""Fields of a webhook that a preset has under the same name."""


@dataclass(frozen=True)
class NewSecret:
    """A secret in plain text, on its way into the database; a definition file says where it stands."""

    purpose: str
    value: str
    reference: str | None = None


def with_refreshed_keys(verification: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same proofs, with the public keys fetched of those whose vendor publishes them.

    :raises InvalidDefinition: there is none such
    """
    if not any(can_refresh_keys(scheme) for scheme in verification):
        raise InvalidDefinition("refresh_keys", "this sender publishes no keys that could be fetched")
    return [
        dict(scheme) | ({"refresh_keys": True} if can_refresh_keys(scheme) else {}) for scheme in verification
    ]


def event_filter(settings: Mapping[str, Any], events: Sequence[str]) -> str:
    """The filter that lets only events of these types through, and of them what the filter so far lets.

    :raises InvalidDefinition: nothing says what type an event has, or the filter so far is not bare
    """
    if not settings.get("event_type"):
        raise InvalidDefinition("events", "this sender has no event types; use a filter")
    listed = f"delivery.event_type in {json.dumps(list(events), ensure_ascii=False)}"
    given = settings.get("filter")
    if given and given.lstrip().startswith(("{{", "${")):
        raise InvalidDefinition("events", "beside a filter in braces they cannot stand; use one without")
    return f"{listed} and ({given})" if given else listed


def preset_fields(name: str | None, purposes: Collection[str]) -> dict[str, Any]:
    """The fields of a webhook that a preset fills, with secrets for these purposes.

    :raises InvalidDefinition: there is no such preset
    """
    if name is None:
        return {}
    preset = find_preset(name)
    return {field: getattr(preset, field) for field in FILLED_FIELDS} | {
        "verification": preset.verification_with(purposes)
    }


def find_preset(name: str) -> Preset:
    """A preset by name.

    :raises InvalidDefinition: there is none
    """
    if name not in PRESETS:
        raise InvalidDefinition("preset", f"{name!r} is not one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def check_complete(webhook: Webhook, purposes: Collection[str]) -> None:
    """Refuse an enabled webhook whose proofs could never be given; a disabled one may wait for its secrets.

    :param purposes: what there are secrets for
    :raises InvalidDefinition: names what is missing, and where it stands at the sender's
    """
    missing = missing_secrets(webhook, purposes)
    if webhook.enabled and missing:
        raise InvalidDefinition("secrets", "; ".join(missing))


def missing_secrets(webhook: Webhook, purposes: Collection[str]) -> list[str]:
    """What a webhook with secrets for these purposes still lacks, each with where it stands."""
    return [_missing(webhook, purpose) for purpose in sorted(needed_purposes(webhook) - set(purposes))]


def check_secret(webhook: Webhook, secret: NewSecret) -> None:
    """Refuse a secret that no proof or handshake of the webhook asks for, or that it could not use.

    :raises InvalidDefinition: says why
    """
    verification = [
        required.scheme
        for required in compile_webhook(webhook).rules.verification
        if required.purpose == secret.purpose
    ]
    # An optional secret of the preset's is none where the webhook was made without its proof.
    if not verification and secret.purpose not in needed_purposes(webhook):
        raise InvalidDefinition("secrets", f"nothing in this webhook uses one for {secret.purpose}")
    if reason := text_problem(secret.value):
        raise InvalidDefinition("secrets", reason)
    for scheme in verification:
        check_scheme_secret(scheme, secret.value)
    if not verification:
        check_text_secret(secret.value)


def needed_purposes(webhook: Webhook) -> set[str]:
    """What the webhook cannot do without a secret for; keys that are fetched need none."""
    required = compile_webhook(webhook).rules.verification
    fetched = {entry.purpose for entry in required if refreshes_keys(entry.scheme)}
    optional = {secret.purpose for secret in _preset_secrets(webhook).values() if secret.optional}
    verification = {entry.purpose for entry in required}
    return (verification | (set(_preset_secrets(webhook)) - optional)) - fetched


def _preset_secrets(webhook: Webhook) -> dict[str, PresetSecret]:
    if webhook.preset is None:
        return {}
    return {secret.purpose: secret for secret in find_preset(webhook.preset).secrets}


def _missing(webhook: Webhook, purpose: str) -> str:
    known = _preset_secrets(webhook).get(purpose)
    if known is None:
        return f"one for {purpose} is missing"
    chosen = "; you choose it" if known.chosen_here else ""
    return f"one for {purpose} is missing ({known.label}: {known.help.rstrip('.')}{chosen})"
