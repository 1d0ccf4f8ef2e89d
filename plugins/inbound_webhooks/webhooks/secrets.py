"""The fields that a preset fills in, and the secrets that a webhook requires."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.errors import InvalidDefinition, Problem
from inbound_webhooks.event.handshakes.registry import HANDSHAKES
from inbound_webhooks.event.json_text import text_problem
from inbound_webhooks.event.verification.public_keys import can_refresh_keys, refreshes_keys
from inbound_webhooks.event.verification.registry import check_secret as check_scheme_secret
from inbound_webhooks.event.verification.registry import read_scheme
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE, check_text_secret
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.presets.preset import Preset
from inbound_webhooks.presets.preset import Secret as PresetSecret
from inbound_webhooks.records.webhook import FIELDS, Webhook

FILLED_FIELDS = tuple(name for name, field in FIELDS.items() if field.filled_by_preset)
"""Fields that a preset and a webhook share."""

SECRET_MISSING = "secret-missing"  # noqa: S105 - the code of a problem


@dataclass(frozen=True)
class NewSecret:
    """A secret in plain text, not yet stored; ``reference`` is its source in a definition file."""

    purpose: str
    value: str
    reference: str | None = None


def with_refreshed_keys(verification: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Verification schemes that fetch the public keys of senders that publish them.

    :raises InvalidDefinition: no scheme can fetch keys
    """
    if not any(can_refresh_keys(scheme) for scheme in verification):
        raise InvalidDefinition("refresh_keys", "this sender does not publish its public keys")
    return [
        dict(scheme) | ({"refresh_keys": True} if can_refresh_keys(scheme) else {}) for scheme in verification
    ]


def event_filter(settings: Mapping[str, Any], events: Sequence[str]) -> str:
    """A filter that accepts only events of these types, combined with the filter in the settings.

    :raises InvalidDefinition: there is no expression for event types, or the filter is written in braces
    """
    if not settings.get("event_type"):
        raise InvalidDefinition("events", "this sender has no event types. Use a filter instead.")
    listed = f"delivery.event_type in {json.dumps(list(events), ensure_ascii=False)}"
    given = settings.get("filter")
    if given and given.lstrip().startswith(("{{", "${")):
        raise InvalidDefinition("events", "they need a filter without braces, not a filter in braces")
    return f"{listed} and ({given})" if given else listed


def preset_fields(name: str | None, purposes: Collection[str]) -> dict[str, Any]:
    """The fields that a preset fills in, given secrets for these purposes.

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

    :raises InvalidDefinition: there is no such preset
    """
    if name not in PRESETS:
        raise InvalidDefinition("preset", f"{name!r} is not one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def missing_secrets(webhook: Webhook, purposes: Collection[str]) -> list[Problem]:
    """The secrets that a webhook waits for: what each is, and where the sender shows it.

    Many senders generate theirs only once they have the URL, so a webhook can exist before its secrets; the
    endpoint tells its senders to retry.

    :param purposes: the purposes of the existing secrets
    """
    return [
        Problem(_missing(webhook, purpose), "secrets", purpose, code=SECRET_MISSING)
        for purpose in sorted(needed_purposes(webhook) - set(purposes))
    ]


def check_secret(webhook: Webhook, secret: NewSecret) -> None:
    """Refuse a secret that the webhook's verification and handshake do not use, or cannot use.

    :raises InvalidDefinition: gives the reason
    """
    required = map(read_scheme, webhook.verification)
    verification = [one.scheme for one in required if one.purpose == secret.purpose]
    # An optional secret of the preset counts only if the webhook was created with its scheme.
    if not verification and secret.purpose not in needed_purposes(webhook):
        raise InvalidDefinition("secrets", f"this webhook uses no {secret.purpose} secret", secret.purpose)
    if reason := text_problem(secret.value):
        raise InvalidDefinition("secrets", reason, secret.purpose)
    try:
        for scheme in verification:
            check_scheme_secret(scheme, secret.value)
        if not verification:
            check_text_secret(secret.value)
    except InvalidDefinition as error:
        # A scheme does not know the purpose of its secrets.
        raise InvalidDefinition("secrets", error.problem.message, secret.purpose) from None


def check_signing(before: Webhook, after: Webhook, kept: Collection[str]) -> None:
    """Refuse a handshake that begins to sign with a secret that its user need not know.

    Otherwise a user who may edit a webhook could have any text of the handshake's format signed with the
    secret of a sender, and learn that sender's signatures.

    :param kept: the purposes of the stored secrets that the change does not replace
    :raises InvalidDefinition: the secret has to be entered again
    """
    signs = after.handshake is not None and HANDSHAKES[after.handshake].signs_for is not None
    if signs and after.handshake != before.handshake and DEFAULT_PURPOSE in kept:
        raise InvalidDefinition(
            "secrets",
            f"the handshake {after.handshake} signs its responses with the {DEFAULT_PURPOSE} secret; "
            "enter that secret again",
            DEFAULT_PURPOSE,
        )


def needed_purposes(webhook: Webhook) -> set[str]:
    """The purposes that require a secret; fetched keys require none.

    :raises InvalidDefinition: a setting of a scheme is invalid
    """
    if webhook.source is not None:
        return set()
    required = [read_scheme(settings) for settings in webhook.verification]
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
    missing = f"The {purpose} secret is missing."
    if known is None:
        return missing
    if known.chosen_here:
        return f'{missing} Choose one, and enter it at the sender too, as "{known.label}". {known.help}'
    return f'{missing} Enter "{known.label}". {known.help}'
