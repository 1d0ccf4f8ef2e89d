"""The HTTP authentication that a 401 response asks for (RFC 9110, section 11.6.1).

Many clients send credentials only after a response with a challenge: Amazon SNS, Java, .NET, urllib.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from inbound_webhooks.event.verification.api_keys import Basic, HeaderKey
from inbound_webhooks.event.verification.jwt_tokens import Jwt
from inbound_webhooks.event.verification.registry import RequiredScheme

REALM = 'realm="webhook"'
"""The same for every webhook: it tells a caller nothing."""

# https://www.rfc-editor.org/rfc/rfc9110#name-tokens
_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def challenges(verification: Sequence[RequiredScheme]) -> tuple[str, ...]:
    """The values of WWW-Authenticate, each once; empty where no scheme reads the header Authorization.

    They never say what is wrong with credentials (``error`` of RFC 6750): an unverified caller must not
    learn it.
    """
    return tuple(dict.fromkeys(_challenges(verification)))


def _challenges(verification: Sequence[RequiredScheme]) -> Iterator[str]:
    for required in verification:
        match required.scheme:
            case Basic():
                # Passwords are compared as UTF-8 (RFC 7617, section 2.1).
                yield f'Basic {REALM}, charset="UTF-8"'
            case HeaderKey(header=header, prefix=prefix) | Jwt(header=header, prefix=prefix):
                # A key without a prefix has no scheme that a challenge could name.
                if header.lower() == "authorization" and _SCHEME.fullmatch(prefix.strip()):
                    yield f"{prefix.strip()} {REALM}"
