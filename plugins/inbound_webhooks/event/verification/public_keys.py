"""Which public keys may be fetched for a verification scheme, and from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inbound_webhooks.event.verification.jwt_tokens import KEY_SETS, Jwt
from inbound_webhooks.event.verification.scheme import VerificationScheme
from inbound_webhooks.event.verification.sns import (
    Sns,
    is_certificate_url,
    region_of_topic,
    region_of_url,
)


def refreshes_keys(scheme: VerificationScheme) -> bool:
    """Whether the webhook's owner wants the vendor's keys fetched."""
    return isinstance(scheme, Sns | Jwt) and scheme.refresh_keys


def can_refresh_keys(settings: Mapping[str, Any]) -> bool:
    """Whether keys could be fetched for a scheme with these settings."""
    return settings.get("kind") == "sns" or (
        settings.get("kind") == "jwt" and settings.get("issuer") in KEY_SETS
    )


def standing_key_url(scheme: VerificationScheme) -> str | None:
    """The fixed URL of a scheme's keys, None if each message names its own."""
    return KEY_SETS[scheme.issuer] if isinstance(scheme, Jwt) and scheme.refresh_keys else None


def is_key_url(scheme: VerificationScheme, url: str) -> bool:
    """Whether a message may name this URL for a scheme: one of the vendor's own, over https."""
    if not isinstance(scheme, Sns) or not scheme.refresh_keys or not is_certificate_url(url):
        return False
    regions = {region_of_topic(arn) for arn in scheme.topic_arns}
    return not regions or region_of_url(url) in regions


def key_group(url: str) -> str:
    """What a vendor has few keys for at a time: a region of Amazon SNS, else the URL itself."""
    return region_of_url(url) or url
