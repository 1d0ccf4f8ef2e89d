"""Secrets that fit each preset: those with which the vendors signed what stands in ``cases/``."""

from __future__ import annotations

from inbound_webhooks.presets import PRESETS
from tests.unit.presets.signed_cases import every

_SECRETS: dict[str, dict[str, str]] = {name: {} for name in PRESETS}
for case in every("accepted", "answered"):
    _SECRETS[case.preset.name] |= {purpose: held[0] for purpose, held in case.secrets.items()}


def vendor_secrets(preset: str) -> dict[str, str]:
    """Purpose -> secret, for every purpose that the preset has."""
    return dict(_SECRETS[preset])
