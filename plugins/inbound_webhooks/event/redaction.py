"""Which headers, query fields and fields of a JSON body are credentials, and their masks."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from urllib.parse import parse_qsl, unquote_plus
from xml.sax.saxutils import escape

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
    decoded = name
    if "%" in name or "+" in name:
        # Decoded by the parser of queries, so that to%6Ben counts as token here as it does there.
        decoded = next((key for key, _ in parse_qsl(f"{name}=", keep_blank_values=True)), "")
    return f"{name}={MASK}" if equals and is_credential(decoded, also) else encoded


MIN_MASKED_CHARS = 4
"""Shorter values are no secrets, and masking them everywhere would leave nothing to read."""

_SEPARATOR = re.compile(r"[\s;,]+")


def masked_values(headers: Iterable[str], query_string: str, masked_query: str) -> set[str]:
    """The credentials of a request, as a response may repeat them: whole, decoded, and in their parts.

    :param headers: the values that :func:`mask_headers` replaced
    :param masked_query: what :func:`mask_query` made of the query string
    """
    fields = zip(query_string.split("&"), masked_query.split("&"), strict=True)
    found = set(headers)
    for field, masked in fields:
        if field != masked:
            value = field.partition("=")[2]
            found |= {value, unquote_plus(value)}
    words = {word for value in found for word in _SEPARATOR.split(value)}
    # As in "Bearer 9f3a…" and "session=9f3a…".
    parts = words | {word.partition("=")[2] for word in words}
    return {value for value in found | parts if len(value) >= MIN_MASKED_CHARS}


def mask_values(content: bytes, values: Collection[str], *, limit_bytes: int) -> bytes:
    """The beginning of a text with these values replaced by ``***``, also where JSON or XML escapes them."""
    written = {form.encode("utf-8", "replace") for value in values for form in _forms(value)}
    # A value that begins within the limit is seen as a whole.
    content = content[: limit_bytes + max(map(len, written), default=0)]
    for value in sorted(written, key=len, reverse=True):
        content = content.replace(value, MASK.encode())
    return content[:limit_bytes]


def _forms(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield escape(value)
    yield escape(value, {'"': "&quot;", "'": "&apos;"})


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
