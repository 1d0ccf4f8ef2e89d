"""Which public keys a proof may have fetched for it, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inbound_webhooks.event.verification.jwt_tokens import KEY_SETS, Jwt
from inbound_webhooks.event.verification.scheme import VerificationScheme
from inbound_webhooks.event.verification.sns import Sns, is_certificate_url


def refreshes_keys(scheme: VerificationScheme) -> bool:
    """Whether its user wants the vendor's keys fetched."""
    return isinstance(scheme, Sns | Jwt) and scheme.refresh_keys


def can_refresh_keys(settings: Mapping[str, Any]) -> bool:
    """Whether a proof with these settings could have its keys fetched."""
    return settings.get("kind") == "sns" or (
        settings.get("kind") == "jwt" and settings.get("issuer") in KEY_SETS
    )


def standing_key_url(scheme: VerificationScheme) -> str | None:
    """Where a proof's keys always are, None where each message names its own."""
    return KEY_SETS[scheme.issuer] if isinstance(scheme, Jwt) and scheme.refresh_keys else None


def is_key_url(scheme: VerificationScheme, url: str) -> bool:
    """Whether a message may name this address for a proof: one of the vendor's own, over https."""
    return isinstance(scheme, Sns) and scheme.refresh_keys and is_certificate_url(url)
