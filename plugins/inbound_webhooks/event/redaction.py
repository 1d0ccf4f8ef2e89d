"""Which headers and query fields are credentials, and what is shown in their place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from urllib.parse import parse_qsl

from inbound_webhooks.event.multidict import MAX_REMEMBERED_CHARS, MultiDict

MASK = "***"


_CREDENTIAL_NAME = re.compile(
    r"auth|cookie|token|secret|signature|passw|hmac|credential|session"
    r"|(api|access)[-_]?key|(^|[-_])key($|[-_])|^sig$|^code$"
    # Proxies write the address that was called there, and with it the token.
    r"|(original|forwarded|rewrite)-ur[il]",
    re.IGNORECASE,
)


# Names of senders' own that only look like one: Bitbucket's event type, ids for deduplication.
_HARMLESS_NAME = re.compile(r"idempotency|event-key", re.IGNORECASE)


def is_credential(name: str, also: Collection[str] = ()) -> bool:
    """Whether a header or query field of this name carries something that must not be shown.

    :param also: names in lower case that do, whatever they look like
    """
    if also and name.lower() in also:
        return True
    return _looks_secret(name) if len(name) <= MAX_REMEMBERED_CHARS else _looks_secret.__wrapped__(name)


@lru_cache(maxsize=4096)
def _looks_secret(name: str) -> bool:
    return bool(_CREDENTIAL_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def without_credentials(values: MultiDict, also: Collection[str] = ()) -> dict[str, list[str]]:
    """The headers or query fields that may be shown to everyone who may see a run."""
    return {name: held for name, held in values.lists.items() if not is_credential(name, also)}


def mask_headers(
    headers: Iterable[tuple[str, str]], also: Collection[str] = ()
) -> tuple[list[tuple[str, str]], list[tuple[int, str]]]:
    """The headers with credentials replaced by ``***``; and of each of these, its position and its value."""
    masked = list(headers)
    taken = [(position, held) for position, held in enumerate(masked) if is_credential(held[0], also)]
    for position, (name, _) in taken:
        masked[position] = (name, MASK)
    return masked, [(position, value) for position, (_, value) in taken]


def mask_query(query_string: str, also: Collection[str] = ()) -> str:
    """The query string with credentials replaced by ``***``, the rest as sent."""
    if not query_string:
        return ""
    return "&".join(_mask_field(field, also) for field in query_string.split("&"))


def _mask_field(encoded: str, also: Collection[str]) -> str:
    name, equals, _ = encoded.partition("=")
    decoded = next(_names(name), "")
    return f"{name}={MASK}" if equals and is_credential(decoded, also) else encoded


def _names(encoded_name: str) -> Iterator[str]:
    return (name for name, _ in parse_qsl(f"{encoded_name}=", keep_blank_values=True))
