"""Which headers, query fields and fields of a JSON body are credentials, and their masks."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from urllib.parse import parse_qsl

from inbound_webhooks.event.multidict import MAX_REMEMBERED_CHARS, MultiDict

MASK = "***"

_CREDENTIAL_NAME = re.compile(
    r"auth|cookie|token|secret|signature|passw|hmac|credential|session"
    r"|(api|access)[-_]?key|(^|[-_])key($|[-_])|^sig$|^code$"
    # Proxies put the URL that was called into these, and with it the token.
    r"|(original|forwarded|rewrite)-ur[il]",
    re.IGNORECASE,
)
# Vendors' names that only look like credentials: Bitbucket's event type, and deduplication keys.
_HARMLESS_NAME = re.compile(r"idempotency|event-key", re.IGNORECASE)


# Decided by the name alone: values are not looked at, so nothing depends on how a secret looks.
def is_credential(name: str, also: Collection[str] = ()) -> bool:
    """Whether a header or query field of this name holds a credential.

    :param also: further names of credentials, in lower case
    """
    if also and name.lower() in also:
        return True
    return _looks_secret(name) if len(name) <= MAX_REMEMBERED_CHARS else _looks_secret.__wrapped__(name)


@lru_cache(maxsize=4096)
def _looks_secret(name: str) -> bool:
    return bool(_CREDENTIAL_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def without_credentials(values: MultiDict, also: Collection[str] = ()) -> dict[str, list[str]]:
    """The headers or query fields that every reader of a run may see."""
    return {name: held for name, held in values.lists.items() if not is_credential(name, also)}


def mask_headers(
    headers: Iterable[tuple[str, str]], also: Collection[str] = ()
) -> tuple[list[tuple[str, str]], list[tuple[int, str]]]:
    """Replace credentials in headers by ``***``; return the headers, and position and value of each mask."""
    masked, values = list(headers), []
    for position, (name, value) in enumerate(masked):
        if is_credential(name, also):
            masked[position] = (name, MASK)
            values.append((position, value))
    return masked, values


def mask_query(query_string: str, also: Collection[str] = ()) -> str:
    """Replace credentials in a query string by ``***``; the rest stays byte for byte."""
    return "&".join(_mask_field(field, also) for field in query_string.split("&"))


def _mask_field(encoded: str, also: Collection[str]) -> str:
    name, equals, _ = encoded.partition("=")
    # Decoded by the parser of queries, so that to%6Ben counts as token here as it does there.
    decoded = next((key for key, _ in parse_qsl(f"{name}=", keep_blank_values=True)), "")
    return f"{name}={MASK}" if equals and is_credential(decoded, also) else encoded


_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_COLON = re.compile(r"\s*:\s*")
_ANY_VALUE = json.JSONDecoder()


def mask_json_fields(text: str, names: Collection[str]) -> str:
    """Replace the values of fields in JSON text by ``***``, at any depth; the rest stays byte for byte.

    Names are compared as a parser reads them, so that ``client\\u0053tate`` counts as ``clientState``.
    """
    parts, done, position = [], 0, 0
    # Every string is consumed as a whole, so a quotation mark inside of one begins no other.
    while literal := _STRING.search(text, position):
        position = literal.end()
        colon = _COLON.match(text, position)
        if colon is None or _name_of(literal[0]) not in names:
            continue
        position = _end_of_value(text, colon.end())
        parts += [text[done : colon.end()], f'"{MASK}"']
        done = position
    return "".join((*parts, text[done:]))


def _name_of(literal: str) -> str:
    if "\\" not in literal:
        return literal[1:-1]
    try:
        return str(json.loads(literal, strict=False))
    except ValueError:
        return ""  # no parser reads it as a name either


def _end_of_value(text: str, start: int) -> int:
    try:
        return _ANY_VALUE.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return len(text)  # no JSON: what follows could be anything, so none of it is kept
