"""Verification with a JSON Web Token."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from inbound_webhooks.errors import InvalidDefinition, KeyUnknown, VerificationFailed
from inbound_webhooks.event.verification.scheme import (
    SignedRequest,
    check_text_secret,
    first_match,
    to_bytes,
)

# PyJWT checks no claims: it would read the machine's clock, while ``now`` is an argument here.
_OPTIONS = {f"verify_{claim}": False for claim in ("aud", "iss", "exp", "nbf", "iat", "sub", "jti")}
_ERRORS = (jwt.PyJWTError, ValueError, TypeError, RecursionError, UnsupportedAlgorithm)
_MIN_SHARED_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, section 3.2

KEY_SETS = {"https://accounts.google.com": "https://www.googleapis.com/oauth2/v3/certs"}
"""Issuer -> URL of its keys (https://accounts.google.com/.well-known/openid-configuration)."""


@dataclass(frozen=True, kw_only=True)
class Jwt:
    """A JSON Web Token (RFC 7519), signed with a shared secret (HS) or a private key (RS, ES, EdDSA).

    The secrets are shared secrets, public keys in PEM, or key sets (RFC 7517) as issuers publish them.
    ``body_hash_claim`` names a claim with the body's SHA-256 in hex or Base64. An empty ``audience``,
    ``issuer``, ``subject`` or ``email`` accepts all. With ``refresh_keys`` the dispatcher fetches the key set
    of an issuer in :data:`KEY_SETS`.
    """

    algorithms: tuple[str, ...]
    header: str = "Authorization"
    prefix: str = "Bearer "
    audience: str = ""
    issuer: str = ""
    subject: str = ""
    email: str = ""
    body_hash_claim: str = ""
    leeway_seconds: float = 60
    refresh_keys: bool = False

    def __post_init__(self) -> None:
        known = jwt.algorithms.get_default_algorithms()
        unknown = [name for name in self.algorithms if name not in known or name == "none"]
        # Never both kinds: a public key is no secret, and would be accepted as the shared secret of an HS
        # token.
        kinds = {name.startswith("HS") for name in self.algorithms}
        if unknown or len(kinds) != 1:
            raise InvalidDefinition(
                "verification", "algorithms: they must be either HS… or some of RS…, PS…, ES…, EdDSA"
            )
        if self.refresh_keys and self.issuer not in KEY_SETS:
            raise InvalidDefinition(
                "verification", f"refresh_keys: it requires one of the issuers {', '.join(KEY_SETS)}"
            )

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        token = request.header(self.header)
        if not token.lower().startswith(self.prefix.lower()):
            raise VerificationFailed(f"The header {self.header} does not begin with {self.prefix.strip()}.")
        token = token[len(self.prefix) :].strip()
        if self.refresh_keys and not secrets:
            raise KeyUnknown(KEY_SETS[self.issuer])
        for index, secret in enumerate(secrets):
            claims = self._claims(token, secret)
            if claims is not None:
                # Only then: before the signature is checked, claims prove nothing.
                self._check_times(claims, now.timestamp())
                self._check_names(claims)
                self._check_body_hash(claims, request.body)
                return index
        raise VerificationFailed(f"The token in {self.header} is not signed with any of the keys.")

    def check_secret(self, secret: str) -> None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        if self.algorithms[0].startswith("HS"):
            check_text_secret(secret)
            minimum = max(_MIN_SHARED_BYTES[name] for name in self.algorithms)
            if len(to_bytes(secret)) < minimum:
                raise InvalidDefinition("secrets", f"it has fewer than {minimum} bytes")
            return
        try:
            readable = bool(list(_keys(secret, shared=False)))
        except _ERRORS:
            readable = False
        if not readable:
            raise InvalidDefinition("secrets", "it is neither a public key in PEM nor a JSON key set")

    def _claims(self, token: str, secret: str) -> dict[str, Any] | None:
        shared = self.algorithms[0].startswith("HS")
        try:
            # Each key is tried: key ids are optional, and issuers publish several keys during a rotation.
            for key in _keys(secret, shared=shared):
                claims = _decoded(token, key, list(self.algorithms))
                if claims is not None:
                    return claims
        except _ERRORS:
            return None
        return None

    def _check_times(self, claims: dict[str, Any], seconds: float) -> None:
        expires, begins = _moment(claims.get("exp")), _moment(claims.get("nbf", 0))
        if expires is None or seconds > expires + self.leeway_seconds:
            raise VerificationFailed("The token has no expiry, or has expired.")
        if begins is None or seconds < begins - self.leeway_seconds:
            raise VerificationFailed("The token is not valid yet.")

    def _check_names(self, claims: dict[str, Any]) -> None:
        audiences = claims.get("aud")
        # A bare claim and a list of one are equal in RFC 7519.
        audiences = audiences if isinstance(audiences, list) else [audiences]
        if self.audience and self.audience not in audiences:
            raise VerificationFailed("The token is for another audience.")
        for name, expected in (("iss", self.issuer), ("sub", self.subject), ("email", self.email)):
            if expected and claims.get(name) != expected:
                raise VerificationFailed(f"The token's {name} is not the expected one.")
        if self.email and claims.get("email_verified") is not True:
            raise VerificationFailed("The token's email is not verified.")

    def _check_body_hash(self, claims: dict[str, Any], body: bytes) -> None:
        if not self.body_hash_claim:
            return
        claim = claims.get(self.body_hash_claim)
        presented = to_bytes(claim) if isinstance(claim, str) else b""
        digest = hashlib.sha256(body).digest()
        url_safe = base64.urlsafe_b64encode(digest)
        expected = [digest.hex().encode(), base64.b64encode(digest), url_safe, url_safe.rstrip(b"=")]
        if first_match(expected, [presented]) is None:
            raise VerificationFailed("The body's SHA-256 differs from the one in the token.")


def _keys(secret: str, *, shared: bool) -> Iterator[Any]:
    """The keys that a secret contains; a shared secret is the key itself."""
    if shared:
        yield secret
    # A JSON object is a key set, everything else PEM.
    elif secret.lstrip().startswith("{"):
        yield from (key.key for key in jwt.PyJWKSet.from_json(secret).keys)
    else:
        yield serialization.load_pem_public_key(to_bytes(secret))


def _decoded(token: str, key: Any, algorithms: list[str]) -> dict[str, Any] | None:
    try:
        return jwt.decode(token, key, algorithms=algorithms, options=_OPTIONS)  # type: ignore[arg-type]
    except _ERRORS:
        return None


def _moment(value: object) -> float | None:
    # bool is an int in Python; NaN and infinity are no times, and would pass comparisons.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e12:
        return None
    return float(value) if math.isfinite(value) else None
