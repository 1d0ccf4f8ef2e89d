"""Verification without a signature: a key in a header, in the query or in the body, and HTTP Basic."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from inbound_webhooks.errors import VerificationFailed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.redaction import mask_json_fields
from inbound_webhooks.event.verification.scheme import (
    SignedRequest,
    WithTextSecret,
    check_header_secret,
    equal_in_constant_time,
    first_match,
    to_bytes,
)
from inbound_webhooks.event.verification.signed_fields import query_fields


@dataclass(frozen=True, kw_only=True)
class HeaderKey:
    """A key in a header, after a prefix such as ``Bearer``."""

    header: str
    prefix: str = ""

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        value = request.header(self.header)
        if not value.lower().startswith(self.prefix.lower()):
            raise VerificationFailed(f"The header {self.header} does not begin with {self.prefix.strip()}.")
        return _matching(secrets, value[len(self.prefix) :].strip(), f"The key in {self.header}")

    def check_secret(self, secret: str) -> None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        check_header_secret(secret)


@dataclass(frozen=True, kw_only=True)
class Basic(WithTextSecret):
    """HTTP Basic authentication (RFC 7617); the password is one of the secrets."""

    username: str

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        scheme, _, encoded = request.header("Authorization").partition(" ")
        try:
            decoded = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        username, colon, password = decoded.partition(b":")
        # Both are compared whatever the other gave, so that the time does not tell which one is wrong.
        found = first_match([to_bytes(secret) for secret in secrets], [password])
        is_user = equal_in_constant_time(to_bytes(self.username), username)
        if scheme.lower() != "basic" or not colon or not is_user or found is None:
            raise VerificationFailed("The header Authorization has no valid Basic user and password.")
        return found


@dataclass(frozen=True, kw_only=True)
class QueryKey(WithTextSecret):
    """A key in a field of the query."""

    field: str

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        values = [value for name, value in query_fields(request.query_string) if name == self.field]
        if len(values) != 1:
            raise VerificationFailed(f"The query needs one field {self.field}.", is_missing=not values)
        return _matching(secrets, values[0], f"The key in the query's field {self.field}")


@dataclass(frozen=True, kw_only=True)
class BodyKey(WithTextSecret):
    """A key in each item of a list in the JSON body: ``clientState`` of Microsoft Graph and SharePoint
    (https://learn.microsoft.com/graph/change-notifications-delivery-webhooks)."""

    items: str
    field: str

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """See :class:`inbound_webhooks.event.verification.scheme.VerificationScheme`."""
        try:
            document = json_text.parse(request.body.decode())
        except (UnicodeDecodeError, json_text.JsonRefused):
            raise VerificationFailed("The body is not JSON.") from None
        items = document.get(self.items) if isinstance(document, dict) else None
        if not isinstance(items, list) or not items:
            raise VerificationFailed(f"The body has no list {self.items} with items.")
        # Every item has to carry the key, or a request with one valid item could smuggle in others.
        found: int | None = None
        for item in items:
            value = item.get(self.field) if isinstance(item, dict) else None
            what = f"{self.field} of an item in {self.items}"
            if value is None:
                raise VerificationFailed(f"There is no {what}.", is_missing=True)
            found = _matching(secrets, value if isinstance(value, str) else "", what)
        return found

    def redact(self, body: bytes) -> bytes:
        """The body with ``***`` in place of each key; a body that is no JSON in UTF-8 stays the same."""
        try:
            return mask_json_fields(body.decode(), {self.field}).encode()
        except UnicodeDecodeError:
            return body  # verification refuses it


def _matching(secrets: Sequence[str], presented: str, what: str) -> int:
    # Compared as bytes: compare_digest refuses text that is not ASCII.
    candidate = to_bytes(presented)
    found = first_match([to_bytes(secret) for secret in secrets], [candidate])
    if found is None:
        raise VerificationFailed(f"{what} does not match any of the webhook's keys.")
    return found
