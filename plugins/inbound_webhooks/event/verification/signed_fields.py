"""Verification over fields of a form, of the body or of the query: Twilio, Mailgun, Shopify's links."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from inbound_webhooks.errors import VerificationFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.verification.scheme import (
    SignedRequest,
    WithTextSecret,
    check_time,
    equal_in_constant_time,
    first_match,
    from_base64,
    from_hex,
    to_bytes,
)

MAX_FIELDS = 1_000


@dataclass(frozen=True, kw_only=True)
class Twilio(WithTextSecret):
    """HMAC-SHA1 over the URL and the form's sorted fields or, for other bodies, over a URL that contains the
    body's SHA-256 (https://www.twilio.com/docs/usage/security#validating-requests)."""

    header: str = "X-Twilio-Signature"

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        presented = from_base64(request.header(self.header), self.header)
        fields = _twilio_fields(request)
        texts = [to_bytes(url + fields) for url in _possible_urls(request.url)]
        # The loop goes on after a match, so that the time does not tell which token is the right one.
        found: int | None = None
        for index, secret in enumerate(secrets):
            expected = [hmac.new(to_bytes(secret), text, hashlib.sha1).digest() for text in texts]
            if first_match(expected, [presented]) is not None and found is None:
                found = index
        if found is None:
            raise VerificationFailed(
                f"The signature in {self.header} does not match URL and form with any of the tokens."
            )
        return found


@dataclass(frozen=True, kw_only=True)
class Mailgun(WithTextSecret):
    """HMAC-SHA256 over a timestamp and a token in the body; the event itself is not signed
    (https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks)."""

    tolerance_seconds: float | None = 300

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        fields = _mailgun_fields(request.body)
        values = [fields.get(name) for name in ("timestamp", "token", "signature")]
        timestamp, token, signature = (value if isinstance(value, str) else "" for value in values)
        if not token:
            raise VerificationFailed("The body holds no token.", is_missing=True)
        check_time(timestamp, now, tolerance_seconds=self.tolerance_seconds)
        presented = from_hex(signature, "signature (in the body)")
        text = to_bytes(timestamp + token)
        expected = [hmac.new(to_bytes(secret), text, hashlib.sha256).digest() for secret in secrets]
        found = first_match(expected, [presented])
        if found is None:
            raise VerificationFailed("The signature in the body was not made with any of the signing keys.")
        return found


@dataclass(frozen=True, kw_only=True)
class QueryHmac(WithTextSecret):
    """Shopify's signed links: HMAC-SHA256 over the other query fields, sorted
    (https://shopify.dev/docs/apps/build/authentication-authorization)."""

    field: str = "hmac"

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        fields = query_fields(request.query_string)
        signatures = [value for name, value in fields if name == self.field]
        if len(signatures) != 1:
            message = f"The query needs one field {self.field}."
            raise VerificationFailed(message, is_missing=not signatures)
        presented = from_hex(signatures[0], f"{self.field} (in the query)")
        text = to_bytes("&".join(sorted(f"{name}={value}" for name, value in fields if name != self.field)))
        expected = [hmac.new(to_bytes(secret), text, hashlib.sha256).digest() for secret in secrets]
        found = first_match(expected, [presented])
        if found is None:
            raise VerificationFailed(f"The {self.field} in the query was not made with any of the secrets.")
        return found


def query_fields(query_string: str) -> list[tuple[str, str]]:
    """Parse a query.

    :raises VerificationFailed: it has too many fields
    """
    try:
        return parse_qsl(query_string, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise VerificationFailed(f"The query has more than {MAX_FIELDS} fields.") from None


def _twilio_fields(request: SignedRequest) -> str:
    """The part of the signed text that follows the URL."""
    body_hash = dict(query_fields(request.query_string)).get("bodySHA256")
    if body_hash is None:
        try:
            form = request.body.decode("ascii")
            # A set, because Twilio signs a repeated pair once.
            pairs = set(parse_qsl(form, keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            raise VerificationFailed("The body is not a form.") from None
        return "".join(name + value for name, value in sorted(pairs))
    if not equal_in_constant_time(
        hashlib.sha256(request.body).hexdigest().encode(), to_bytes(body_hash.lower())
    ):
        raise VerificationFailed("The body's SHA-256 is not the bodySHA256 of the URL.")
    return ""


def _possible_urls(url: str) -> list[str]:
    """The URL as received, without and with its port: Twilio signs one or the other."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise VerificationFailed("The URL that was called cannot be read.") from None
    user, at, address = parts.netloc.rpartition("@")
    # Colons inside the brackets of an IPv6 address do not begin a port.
    host = address.rpartition("]")[0] + "]" if address.startswith("[") else address.partition(":")[0]
    port = 443 if parts.scheme == "https" else 80
    netlocs = (f"{user}{at}{host}", f"{user}{at}{host}:{port}")
    return list(dict.fromkeys((url, *(urlunsplit(parts._replace(netloc=netloc)) for netloc in netlocs))))


def _mailgun_fields(body: bytes) -> dict[str, object]:
    try:
        text = body.decode()
        if text.lstrip().startswith("{"):
            found = json_text.parse(text).get("signature")
        else:
            found = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except (ValueError, json_text.JsonRefused):
        raise VerificationFailed("The body holds no signature.", is_missing=True) from None
    if not isinstance(found, dict):
        raise VerificationFailed("The body holds no signature.", is_missing=True)
    return found
