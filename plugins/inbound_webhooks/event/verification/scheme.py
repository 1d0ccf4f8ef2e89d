"""What every proof of a sender shares: the request as it was signed, strict decoding, the clock, keys."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from inbound_webhooks.errors import InvalidDefinition, VerificationFailed

MAX_SIGNATURES = 10
"""Signatures of one header that are tried; vendors send two while a secret is rolled."""

MAX_SIGNATURE_CHARS = 4096

Encoding = Literal["hex", "hex-any-case", "base64"]
"""How a signature is written; vendors that write hex write lower case, Fivetran excepted."""

_TIMESTAMP = re.compile(r"[0-9]{1,16}")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof looks at: everything as it was sent, the body still compressed where it came so.

    ``url`` is the one that the sender called, query string included.
    """

    method: str
    url: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str = ""

    def header(self, name: str) -> str:
        """The value of a header.

        :raises VerificationFailed: it is missing, empty, there twice, or not ASCII
        """
        wanted = name.lower()
        values = [value for key, value in self.headers if key.lower() == wanted]
        if not values:
            raise VerificationFailed(f"The header {name} is missing.", is_missing=True)
        if len(values) > 1:
            raise VerificationFailed(f"The header {name} is there {len(values)} times.")
        if not values[0]:
            raise VerificationFailed(f"The header {name} is empty.", is_missing=True)
        if not values[0].isascii() or len(values[0]) > MAX_SIGNATURE_CHARS:
            raise VerificationFailed(f"The header {name} is too long or not ASCII.")
        return values[0]


class VerificationScheme(Protocol):
    """One way for a sender to show who it is; each is a frozen dataclass of its settings."""

    def check(self, request: SignedRequest, secrets: Sequence[str], now: datetime) -> int | None:
        """Return the index of the secret that fitted, None where the proof needs none.

        :raises VerificationFailed: says what was expected and what is wrong, never a secret or a value
        :raises KeyUnknown: the public key has to be fetched, which the settings allow
        """

    def check_secret(self, secret: str) -> None:
        """Refuse a secret that could prove nothing, before it is stored.

        :raises InvalidDefinition: says what it has to look like
        """


def equal_in_constant_time(expected: bytes, presented: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(expected, presented)


def first_match(expected: Sequence[bytes], presented: Sequence[bytes]) -> int | None:
    """The index of the first expected value that one of the presented equals; always tries them all."""
    found: int | None = None
    for index, value in enumerate(expected):
        matches = [equal_in_constant_time(value, candidate) for candidate in presented]
        if any(matches) and found is None:
            found = index
    return found


def to_bytes(text: str) -> bytes:
    """The UTF-8 bytes of a text; half of a surrogate pair does not stop it."""
    return text.encode("utf-8", "surrogatepass")


def from_hex(text: str, name: str) -> bytes:
    """Bytes of a text in lower-case hex.

    :raises VerificationFailed: another character, or an odd number of them
    """
    if not _HEX.fullmatch(text):
        raise VerificationFailed(f"The header {name} is not lower-case hex.")
    return bytes.fromhex(text)


def from_hex_of_any_case(text: str, name: str) -> bytes:
    """Bytes of a hex text; see :func:`from_hex`."""
    return from_hex(text.lower() if text.isascii() else text, name)


def from_base64(text: str, name: str) -> bytes:
    """Bytes of a Base64 text in the standard alphabet, with its padding.

    :raises VerificationFailed: another character, or wrong padding
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VerificationFailed(f"The header {name} is not Base64.") from None


DECODERS: dict[str, Callable[[str, str], bytes]] = {
    "hex": from_hex,
    "hex-any-case": from_hex_of_any_case,
    "base64": from_base64,
}


def check_time(
    text: str, now: datetime, *, tolerance_seconds: float | None, milliseconds: bool = False
) -> None:
    """Refuse a signed time that is no time, or too far from now on either side.

    Without a tolerance it has to have the usual number of digits: where nothing stands between time and
    body, some could move from one to the other.

    :raises VerificationFailed: says which
    """
    if not _TIMESTAMP.fullmatch(text):
        raise VerificationFailed("The timestamp is not a number of seconds or milliseconds since 1970.")
    if tolerance_seconds is None:
        digits = 13 if milliseconds else 10
        if len(text) != digits:
            raise VerificationFailed(f"The timestamp has not {digits} digits.")
        return
    age_seconds = now.timestamp() - int(text) / (1000 if milliseconds else 1)
    if age_seconds > tolerance_seconds:
        raise VerificationFailed(
            f"The timestamp is {age_seconds:.0f} s old; {tolerance_seconds:g} s are allowed."
        )
    if age_seconds < -tolerance_seconds:
        raise VerificationFailed(
            f"The timestamp is {-age_seconds:.0f} s in the future; {tolerance_seconds:g} s are allowed."
        )


def check_text_secret(secret: str) -> None:
    """Refuse a shared secret that is empty or was copied with something around it.

    :raises InvalidDefinition: says what is wrong with it
    """
    if not secret.strip():
        raise InvalidDefinition("secret", "it is empty")
    if secret != secret.strip():
        raise InvalidDefinition("secret", "it begins or ends with white space")
    if not secret.isprintable():
        raise InvalidDefinition("secret", "it has characters that cannot be printed")


def check_header_secret(secret: str) -> None:
    """Refuse a key that no header could carry.

    :raises InvalidDefinition: says what is wrong with it
    """
    check_text_secret(secret)
    if not secret.isascii():
        raise InvalidDefinition("secret", "it has characters that are not ASCII, which a header cannot carry")
