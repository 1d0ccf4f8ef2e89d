"""What a preset fills in, and which secrets a webhook cannot do without."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from inbound_webhooks.errors import InvalidDefinition
from inbound_webhooks.event.proof import check_text_secret
from inbound_webhooks.event.signature import check_key
from inbound_webhooks.presets import PRESETS
from inbound_webhooks.presets.preset import Preset
from inbound_webhooks.presets.preset import Secret as PresetSecret
from inbound_webhooks.receiver.definition import compile_definition
from inbound_webhooks.storage.queries import Webhook

FILLED_FIELDS = (
    "handshake", "dedup", "response_status", "response_content_type", "response_template",
    "disabled_status", "invalid_status",
)  # fmt: skip
"""Fields of a webhook that a preset has under the same name."""


@dataclass(frozen=True)
class NewSecret:
    """A secret in plain text, on its way into the database."""

    purpose: str
    value: str


def preset_fields(name: str | None, purposes: Collection[str]) -> dict[str, Any]:
    """The fields of a webhook that a preset fills, with secrets for these purposes.

    :raises InvalidDefinition: there is no such preset
    """
    if name is None:
        return {}
    preset = find_preset(name)
    return {field: getattr(preset, field) for field in FILLED_FIELDS} | {
        "proofs": preset.proofs_with(purposes)
    }


def find_preset(name: str) -> Preset:
    """A preset by name.

    :raises InvalidDefinition: there is none
    """
    if name not in PRESETS:
        raise InvalidDefinition("preset", f"{name!r} is none of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def check_secrets(webhook: Webhook, secrets: Sequence[NewSecret], *, held: Collection[str] = ()) -> None:
    """Refuse a webhook whose proofs could never be given.

    :param held: what there are secrets for already
    :raises InvalidDefinition: a secret is missing, is for nothing, or cannot be used
    """
    for secret in secrets:
        check_secret(webhook, secret)
    missing = needed_purposes(webhook) - {secret.purpose for secret in secrets} - set(held)
    if missing:
        raise InvalidDefinition(
            "secret", "; ".join(_missing(webhook, purpose) for purpose in sorted(missing))
        )


def check_secret(webhook: Webhook, secret: NewSecret) -> None:
    """Refuse a secret that no proof or handshake of the webhook asks for, or that it could not use.

    :raises InvalidDefinition: says why
    """
    usable = needed_purposes(webhook) | set(_preset_secrets(webhook))
    if secret.purpose not in usable:
        raise InvalidDefinition("secret", f"nothing in this webhook uses one for {secret.purpose}")
    proofs = [
        required.proof
        for required in compile_definition(webhook).proofs
        if required.purpose == secret.purpose
    ]
    for proof in proofs:
        check_key(proof, secret.value)
    if not proofs:
        check_text_secret(secret.value)


def needed_purposes(webhook: Webhook) -> set[str]:
    """What the webhook cannot do without a secret for."""
    proofs = {required.purpose for required in compile_definition(webhook).proofs}
    return proofs | {secret.purpose for secret in _preset_secrets(webhook).values() if not secret.optional}


def _preset_secrets(webhook: Webhook) -> dict[str, PresetSecret]:
    if webhook.preset is None:
        return {}
    return {secret.purpose: secret for secret in find_preset(webhook.preset).secrets}


def _missing(webhook: Webhook, purpose: str) -> str:
    known = _preset_secrets(webhook).get(purpose)
    where = f" ({known.label}: {known.help.rstrip('.')})" if known else ""
    return f"one for {purpose} is missing{where}"
