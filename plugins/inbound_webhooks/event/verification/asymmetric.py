"""Verification with the sender's public key: Ed25519, ECDSA, and Standard Webhooks, which has both kinds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inbound_webhooks.errors import InvalidDefinition, VerificationFailed
from inbound_webhooks.event.verification.scheme import (
    DECODERS,
    MAX_SIGNATURES,
    Encoding,
    SignedRequest,
    check_text_secret,
    check_time,
    equal_in_constant_time,
    from_base64,
)

MIN_SECRET_BYTES = 16
"""Standard Webhooks recommends 24 to 64; some senders use fewer."""

KEY_ERRORS = (ValueError, TypeError, UnsupportedAlgorithm)
"""Errors of keys that cannot be read; binascii.Error is a ValueError."""


@dataclass(frozen=True, kw_only=True)
class StandardWebhooks:
    """Standard Webhooks 1.0.0: ``v1`` HMAC-SHA256 with a ``whsec_`` secret, ``v1a`` Ed25519 with a ``whpk_``
    public key (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

    ``header_prefix`` is ``webhook-`` or, at Svix, ``svix-``.
    """

    header_prefix: str = "webhook-"
    tolerance_seconds: float | None = 300

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        names = [self.header_prefix + part for part in ("id", "timestamp", "signature")]
        message_id, timestamp, written = (request.header(name) for name in names)
        check_time(timestamp, now, tolerance_seconds=self.tolerance_seconds)
        text = f"{message_id}.{timestamp}.".encode() + request.body
        # The vendors' separator is a space; more signatures than vendors send only cost time.
        signatures = [part.partition(",") for part in written.split(" ")[:MAX_SIGNATURES]]
        found: int | None = None
        for index, secret in enumerate(secrets):
            # The secret decides the kind, not the header: a sender cannot choose a weaker one.
            version = "v1a" if secret.startswith("whpk_") else "v1"
            candidates = [value for name, _, value in signatures if name == version]
            matches = [_matches_standard(secret, text, candidate) for candidate in candidates]
            if any(matches) and found is None:
                found = index
        if found is None:
            raise VerificationFailed(f"No signature in {names[2]} matches the body with any of the secrets.")
        return found

    def check_secret(self, secret: str) -> None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        check_text_secret(secret)
        try:
            if secret.startswith("whpk_"):
                _standard_public_key(secret)
                return
            key = _standard_key(secret)
        except KEY_ERRORS:
            raise InvalidDefinition("secrets", "it is not Base64 after whsec_ or whpk_") from None
        if len(key) < MIN_SECRET_BYTES:
            raise InvalidDefinition("secrets", f"it has {len(key)} bytes; the minimum is {MIN_SECRET_BYTES}")


@dataclass(frozen=True, kw_only=True)
class Ed25519:
    """Discord's signatures over timestamp and body
    (https://discord.com/developers/docs/interactions/overview).

    Nothing separates the two, so the timestamp must have ten digits: otherwise digits could move from one
    to the other under the same signature.
    """

    header: str = "X-Signature-Ed25519"
    timestamp_from: str = "X-Signature-Timestamp"
    encoding: Encoding = "hex"
    tolerance_seconds: float | None = None

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`;
        the secrets are public keys in hex."""
        presented = DECODERS[self.encoding](request.header(self.header), self.header)
        timestamp = request.header(self.timestamp_from)
        check_time(timestamp, now, tolerance_seconds=self.tolerance_seconds)
        text = timestamp.encode() + request.body
        return first_key(secrets, lambda key: _hex_key(key).verify(presented, text), self.header)

    def check_secret(self, secret: str) -> None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        check_text_secret(secret)
        try:
            _hex_key(secret)
        except KEY_ERRORS:
            raise InvalidDefinition("secrets", "it is not an Ed25519 public key of 64 hex digits") from None


@dataclass(frozen=True, kw_only=True)
class Ecdsa:
    """SendGrid's signatures: ECDSA P-256 with SHA-256 over timestamp and body, DER in Base64
    (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features).
    """

    header: str = "X-Twilio-Email-Event-Webhook-Signature"
    timestamp_from: str = "X-Twilio-Email-Event-Webhook-Timestamp"
    tolerance_seconds: float | None = 300

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`;
        the secrets are public keys, DER in Base64."""
        presented = from_base64(request.header(self.header), self.header)
        timestamp = request.header(self.timestamp_from)
        check_time(timestamp, now, tolerance_seconds=self.tolerance_seconds)
        text = timestamp.encode() + request.body
        algorithm = ec.ECDSA(hashes.SHA256())
        return first_key(secrets, lambda key: _der_key(key).verify(presented, text, algorithm), self.header)

    def check_secret(self, secret: str) -> None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        check_text_secret(secret)
        try:
            _der_key(secret)
        except KEY_ERRORS:
            reason = "it is not an elliptic-curve public key, DER in Base64 (MFkwEwYHKoZIzj0C…)"
            raise InvalidDefinition("secrets", reason) from None


def first_key(keys: Sequence[str], verify: Callable[[str], None], header: str) -> int:
    """Return the index of the first key for which ``verify`` does not raise InvalidSignature.

    :raises VerificationFailed: there is none
    """
    for index, key in enumerate(keys):
        try:
            verify(key)
        except (InvalidSignature, *KEY_ERRORS):
            # Unreadable keys are refused when they are saved; a stored one must not disable the others.
            continue
        return index
    raise VerificationFailed(f"The signature in {header} does not match the body with any of the keys.")


def _hex_key(key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))


def _der_key(key: str) -> ec.EllipticCurvePublicKey:
    public = serialization.load_der_public_key(base64.b64decode(key, validate=True))
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ValueError("another kind of key")
    return public


def _matches_standard(secret: str, text: bytes, candidate: str) -> bool:
    try:
        # Decodes before the comparison, since the same signature has several Base64 spellings.
        presented = base64.b64decode(candidate, validate=True)
        if not secret.startswith("whpk_"):
            return equal_in_constant_time(
                hmac.new(_standard_key(secret), text, hashlib.sha256).digest(), presented
            )
        _standard_public_key(secret).verify(presented, text)
    except (InvalidSignature, *KEY_ERRORS):
        return False
    return True


def _standard_key(secret: str) -> bytes:
    """The bytes after ``whsec_``; padding is optional."""
    key = _padded(secret.removeprefix("whsec_"))
    if not key:
        raise binascii.Error("empty")
    return key


def _standard_public_key(secret: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(_padded(secret.removeprefix("whpk_")))


def _padded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
