"""Verification of senders: raw bytes + secrets + now -> accepted, or the reason why not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inbound_webhooks.errors import InvalidDefinition, SecretMissing, VerificationFailed
from inbound_webhooks.event.verification.api_keys import Basic, BodyKey, HeaderKey, QueryKey
from inbound_webhooks.event.verification.asymmetric import Ecdsa, Ed25519, StandardWebhooks
from inbound_webhooks.event.verification.jwt_tokens import Jwt
from inbound_webhooks.event.verification.public_keys import refreshes_keys
from inbound_webhooks.event.verification.scheme import DEFAULT_PURPOSE, SignedRequest, VerificationScheme
from inbound_webhooks.event.verification.settings import check_settings
from inbound_webhooks.event.verification.signed_fields import Mailgun, QueryHmac, Twilio
from inbound_webhooks.event.verification.sns import Sns
from inbound_webhooks.event.verification.symmetric import Digest, Hmac

SCHEMES: dict[str, type[Any]] = {
    "basic": Basic,
    "body-key": BodyKey,
    "digest": Digest,
    "ecdsa": Ecdsa,
    "ed25519": Ed25519,
    "header-key": HeaderKey,
    "hmac": Hmac,
    "jwt": Jwt,
    "mailgun": Mailgun,
    "query-hmac": QueryHmac,
    "query-key": QueryKey,
    "sns": Sns,
    "standard-webhooks": StandardWebhooks,
    "twilio": Twilio,
}

_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class RequiredScheme:
    """A verification scheme that a webhook requires, and the purpose of the secrets that it uses."""

    scheme: VerificationScheme
    purpose: str = DEFAULT_PURPOSE


def read_scheme(settings: Mapping[str, Any]) -> RequiredScheme:
    """Read a scheme's settings: ``kind``, optionally ``purpose``, and the fields of its class.

    :raises InvalidDefinition: names the field that is unknown, missing or of the wrong type
    """
    values = dict(settings)
    kind, purpose = values.pop("kind", None), values.pop("purpose", DEFAULT_PURPOSE)
    if not isinstance(kind, str) or kind not in SCHEMES:
        raise InvalidDefinition("verification", f"{kind!r} is not one of {', '.join(SCHEMES)}")
    scheme_class = SCHEMES[kind]
    if not isinstance(purpose, str) or not _PURPOSE.fullmatch(purpose):
        raise InvalidDefinition("verification", "its purpose is not a short word in lower case", kind)
    try:
        return RequiredScheme(scheme_class(**check_settings(scheme_class, values)), purpose)
    except InvalidDefinition as error:
        # A scheme does not know under which name it is registered.
        raise InvalidDefinition("verification", error.problem.message, kind) from None


def credential_names(verification: Sequence[RequiredScheme]) -> frozenset[str]:
    """Headers and query fields that schemes compare, in lower case: masked whatever they are called."""
    names: set[str] = set()
    for required in verification:
        match required.scheme:
            case HeaderKey(header=name) | Hmac(header=name) | Digest(header=name) | Jwt(header=name):
                names.add(name.lower())
            case Ed25519(header=name) | Ecdsa(header=name) | Twilio(header=name):
                names.add(name.lower())
            case QueryKey(field=name) | QueryHmac(field=name):
                names.add(name.lower())
    return frozenset(names)


def redact_keys(verification: Sequence[RequiredScheme], body: bytes) -> bytes:
    """The body without the keys that it carries for verification; otherwise byte for byte the same."""
    for required in verification:
        if isinstance(required.scheme, BodyKey):
            body = required.scheme.redact(body)
    return body


def check_secret(scheme: VerificationScheme, secret: str) -> None:
    """Refuse a secret that a scheme could not use, before it is stored.

    :raises InvalidDefinition: describes what it should look like, never the secret
    """
    scheme.check_secret(secret)


def verify(
    verification: Sequence[RequiredScheme],
    request: SignedRequest,
    secrets: Mapping[str, Sequence[str]],
    now: datetime,
) -> dict[str, int]:
    """Check every scheme; return the index of the matching secret by purpose.

    ``secrets`` are the valid ones by purpose.

    :raises VerificationFailed: a check failed
    :raises SecretMissing: a scheme has no secret to use
    :raises KeyUnknown: a public key has to be fetched first
    """
    used: dict[str, int] = {}
    for required in verification:
        valid = secrets.get(required.purpose, ())
        # The sender retries: its user enters the secret once the sender shows it.
        if not valid and not refreshes_keys(required.scheme):
            raise SecretMissing(required.purpose)
        # An empty secret is one that everybody knows; it must not count beside others either.
        if not all(valid):
            raise VerificationFailed(
                f"The webhook has no valid secret for {required.purpose}.", is_missing=True
            )
        index = required.scheme.check(request, valid, now)
        # The index of the secret is noted, so that a rotation shows which one is still in use.
        if index is not None:
            used[required.purpose] = index
    return used
