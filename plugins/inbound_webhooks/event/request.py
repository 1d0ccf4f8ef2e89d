"""A request as it arrived, and the data sources that expressions read."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from inbound_webhooks.errors import BodyMalformed
from inbound_webhooks.event import json_text
from inbound_webhooks.event.cached_attribute import lazy
from inbound_webhooks.event.expressions.budget import Work

MAX_FORM_FIELDS = 10_000

# Only charsets that decode in linear time; "idna" and friends are codecs of Python's too.
_TEXT_CHARSETS = {
    name: codec
    for codec, names in {
        "utf-8-sig": ("utf-8", "utf8"),
        "ascii": ("us-ascii", "ascii"),
        "latin-1": ("iso-8859-1", "latin-1", "latin1"),
        "iso8859-15": ("iso-8859-15",),
        "cp1250": ("windows-1250",),
        "cp1251": ("windows-1251",),
        "cp1252": ("windows-1252",),
        "utf-16": ("utf-16",),
        "shift_jis": ("shift_jis",),
        "euc_jp": ("euc-jp",),
        "gb18030": ("gb2312", "gbk", "gb18030"),
        "big5": ("big5",),
        "euc_kr": ("euc-kr",),
    }.items()
    for name in names
}


class InboundRequest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One HTTP request.

    ``headers`` are in order of arrival, ``query_string`` is as sent (percent-encoded),
    ``body`` is as sent, still compressed where Content-Encoding says so.
    """

    method: str
    query_string: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    received_at: datetime

    @lazy
    def header_values(self) -> Values:
        """The headers by name."""
        return Values(self.headers, ignore_case=True)

    def header(self, name: str) -> str:
        """The first value of a header, "" when it is missing."""
        values = self.header_values.lists.get(title_case(name))
        return values[0] if values else ""

    def combined_header(self, name: str) -> str:
        """Every value of a header with commas between them (RFC 9110, section 5.3)."""
        return ", ".join(self.header_values.lists.get(title_case(name), ())) if self.header(name) else ""


class One(str):
    """The only value of a header, query or form field: reads as text, ``[0]`` gives it too."""

    __slots__ = ()


class Values:
    """Headers, query or form fields: names in order of arrival, each with a list of texts."""

    def __init__(self, pairs: Iterable[tuple[str, str]], *, ignore_case: bool = False) -> None:
        self._ignore_case = ignore_case
        self._pairs = pairs

    @lazy
    def lists(self) -> dict[str, list[str]]:
        """The values by name; put together when they are first asked for."""
        lists: dict[str, list[str]] = {}
        for name, value in self._pairs:
            lists.setdefault(title_case(name) if self._ignore_case else name, []).append(value)
        return lists

    def __bool__(self) -> bool:
        return bool(self.lists)

    def __contains__(self, name: str) -> bool:
        return self._spelled(name) in self.lists

    def __getitem__(self, name: str) -> One | list[str]:
        """One value bare, several as a list."""
        values = self.lists[self._spelled(name)]
        return One(values[0]) if len(values) == 1 else list(values)

    def _spelled(self, name: str) -> str:
        return title_case(name) if self._ignore_case else name


class Body:
    """The body: as text, as a JSON value, and the properties below it; decoded when first needed."""

    def __init__(self, content: bytes, content_type: str) -> None:
        self.content = content
        self._type, _, parameters = content_type.partition(";")
        self._type = self._type.strip().lower()
        self._charset = _charset(parameters)

    def __bool__(self) -> bool:
        return bool(self.content)

    def __contains__(self, item: Any) -> bool:
        return item in self.value

    @property
    def is_json(self) -> bool:
        """Whether the type says JSON (RFC 6839 suffix included)."""
        return self._type == "application/json" or self._type.endswith("+json")

    @lazy
    def text(self) -> str:
        """The body as text; Base64 for types that are not text.

        :raises BodyMalformed: the bytes are not text in their charset
        """
        if self.is_json:
            return self._decode("utf-8-sig")
        if self._type in ("application/xml", "text/xml", "text/plain") or self._type.endswith("+xml"):
            return self._decode(_TEXT_CHARSETS.get(self._charset, "utf-8-sig"))
        return base64.b64encode(self.content).decode("ascii")

    @lazy
    def value(self) -> Any:
        """The JSON value of a JSON body, the text of any other.

        :raises BodyMalformed: the type says JSON and the bytes do not
        """
        if not self.is_json:
            return self.text
        try:
            return json_text.parse(self.content if self.content.isascii() else self.text)
        except json_text.JsonRefused as error:
            raise BodyMalformed(f"The body is not JSON as Content-Type says: {error.message}.") from None

    @lazy
    def properties(self) -> Any:
        """What a path below the body looks into: the JSON value, the form's fields, else None."""
        if self.is_json:
            return self.value
        if self._type == "application/x-www-form-urlencoded":
            return self._form_fields()
        return None

    @property
    def value_or_text(self) -> Any:
        """The JSON value where the body is JSON; else its text; Base64 where it is not text either."""
        for read in (lambda: self.value, lambda: self.text):
            try:
                return read()
            except BodyMalformed:
                continue
        return base64.b64encode(self.content).decode("ascii")

    def _form_fields(self) -> Values:
        try:
            text = self.content.decode("ascii")
            return Values(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS))
        except UnicodeDecodeError:
            raise BodyMalformed("The form is not percent-encoded ASCII.") from None
        except ValueError:
            raise BodyMalformed(f"The form has more than {MAX_FORM_FIELDS} fields.") from None

    def _decode(self, charset: str) -> str:
        try:
            return self.content.decode(charset)
        except UnicodeDecodeError as error:
            name = charset.removesuffix("-sig")
            raise BodyMalformed(f"The body is not {name} text: byte {error.start} breaks it.") from None


class DataSources:
    """Everything that an expression can see of one request; put together as far as it is looked at.

    ``content`` is the body after decompression, ``credential_names`` are headers and query fields that the
    sender is proved with, in lower case.
    """

    def __init__(
        self,
        request: InboundRequest,
        content: bytes,
        *,
        delivery_id: str,
        webhook: str,
        credential_names: frozenset[str] = frozenset(),
    ) -> None:
        self._request = request
        self._delivery_id = delivery_id
        self._webhook = webhook
        self.event_type = ""
        """What the sender calls this kind of event, once that is known."""
        self.credential_names = credential_names
        self.body = Body(content, request.header("Content-Type"))
        self.work = Work()
        """What is left to compute; all expressions of the request share it."""

    @property
    def headers(self) -> Values:
        """The headers."""
        return self._request.header_values

    @lazy
    def query(self) -> Values:
        """The fields of the query, percent-decoded."""
        return Values(parse_query(self._request.query_string))

    @property
    def delivery(self) -> dict[str, str]:
        """What ``${Webhook::Delivery.…}`` reads."""
        return {
            "id": self._delivery_id,
            "received_at": self._request.received_at.isoformat(),
            "webhook": self._webhook,
            "source_ip": self._request.source_ip,
            "event_type": self.event_type,
        }


def parse_query(query_string: str) -> list[tuple[str, str]]:
    """Names and values of a query, percent-decoded."""
    return parse_qsl(query_string, keep_blank_values=True) if query_string else []


def title_case(name: str) -> str:
    """``x-github-event`` -> ``X-Github-Event``, the spelling that both front doors give."""
    return _title_case(name) if len(name) <= MAX_REMEMBERED_CHARS else _title_case.__wrapped__(name)


MAX_REMEMBERED_CHARS = 64
"""Longer names of headers are not remembered: senders may send new ones without end."""


@lru_cache(maxsize=4096)
def _title_case(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


# --- credentials ----------------------------------------------------------------------------

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


def without_credentials(values: Values, also: Collection[str] = ()) -> dict[str, list[str]]:
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


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""
